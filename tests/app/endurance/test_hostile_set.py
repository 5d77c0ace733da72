"""Hostile molecules sent to a real server, one by one and all at once, beside a caller who must not feel it.

`HOSTILE_INPUTS` in the environment names another set of JSON lines with `id`, `kind` and `data`.
"""

import asyncio
import contextlib
import json
import os
import time
from pathlib import Path

import httpx
import numpy as np
import pytest

PATIENCE_S = 300


async def ask(client, spec):
    began = time.monotonic()
    body = {"molecules": [spec], "num_conformers": 1, "seed": 1}
    answer = await client.post("/v1/conformers", json=body)
    return answer, time.monotonic() - began


async def neighbour(client, times):
    """Asks for one conformer of ethanol, again and again."""
    while True:
        answer, seconds = await ask(client, {"smiles": "CCO"})
        assert answer.json()["results"][0]["status"] == "ok", answer.text
        times.append(seconds)
        await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def beside(client, said, least=1):
    """Measures the neighbour meanwhile."""
    times = []
    task = asyncio.create_task(neighbour(client, times))
    yield
    while len(times) < least and not task.done():
        await asyncio.sleep(0.1)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    p50, p99 = np.percentile(times, (50, 99))
    print(f"neighbour {said}: p50 {p50:.2f} s, p99 {p99:.2f} s, {len(times)} requests")


async def story(url, inputs):
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE_S) as client:
        async with beside(client, "alone", 30):
            pass
        async with beside(client, "beside one at a time"):
            alone = [await ask(client, spec) for spec in inputs]
        async with beside(client, "beside all at once"):
            together = await asyncio.gather(*(ask(client, spec) for spec in inputs))
        ready = await client.get("/readyz")
    return alone, together, ready


@pytest.mark.slow
def test_every_hostile_input_gets_an_answer_and_neighbours_are_served(server, files):
    path = Path(os.environ.get("HOSTILE_INPUTS", files / "hostile.jsonl"))
    records = [json.loads(line) for line in path.read_text().splitlines()]
    inputs = [{"id": r["id"], "molblock" if r["kind"] == "molblock" else "smiles": r["data"]} for r in records]
    print()
    alone, together, ready = asyncio.run(story(server.url, inputs))
    for spec, (answer, seconds) in zip(inputs, alone, strict=True):
        (result,) = answer.json().get("results", [{"status": answer.status_code, "problems": []}])
        print(f"{spec['id']:>24} {seconds:6.2f} s  {result['status']} {[p['reason'] for p in result['problems']]}")
    for said, answers in (("one at a time", alone), ("all at once", together)):
        print(f"{said}: slowest {max(seconds for _, seconds in answers):.2f} s")
        assert {answer.status_code for answer, _ in answers} <= {200, 422}
    assert ready.status_code == 200
    assert "Traceback" not in server.words()
