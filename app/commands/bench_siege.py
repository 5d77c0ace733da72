"""The service under attack: molecules that hurt, and kills in the middle of a job."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from random import Random
from typing import Any

import httpx

HOSTILE_S = 10.0  # time for an answer
_ANSWER_S = 600.0
_PAUSE_S = 0.1  # where there is no service any more
_ALONE = 10  # honest requests before the hostile ones
_JSON = {"Content-Type": "application/json"}
_PER_KILL = 4  # molecules of the job
_MOST = 256  # of them
_COUNT = 20  # conformers of each
_LIFE_S = 1.5  # of a server that is ready, at most


@dataclass(frozen=True)
class Siege:
    """What became of hostile molecules, and of those beside them.

    Attributes:
        answers: Status of the answer to each, 599 for none, and how long it took, s.
        neighbours: Whether each honest request meanwhile got its structure, and how long that took, s.
        alone_s: How long such requests took before, s.
        ready: Whether the service was ready in the end.
    """

    answers: list[tuple[int, float]]
    neighbours: list[tuple[bool, float]]
    alone_s: list[float]
    ready: bool


async def besiege(url: str, honest: str, texts: list[dict[str, str]]) -> Siege:
    """Send hostile molecules one after another, and honest requests all the while and some before.

    Args:
        url: Of the service.
        honest: SMILES.
        texts: Hostile molecules, `data` and its `kind`.
    """
    answers: list[tuple[int, float]] = []
    neighbours: list[tuple[bool, float]] = []
    done = asyncio.Event()
    async with httpx.AsyncClient(base_url=url, timeout=_ANSWER_S) as client:

        async def ask(molecule: dict[str, str]) -> tuple[int, list[dict[str, Any]], float]:
            """Status, results and time, s."""
            body = json.dumps(_body([molecule], 1))  # escapes what is not text
            began = time.perf_counter()
            try:
                response = await client.post("/v1/conformers", content=body, headers=_JSON)
            except httpx.TransportError:
                await asyncio.sleep(_PAUSE_S)
                return 599, [], time.perf_counter() - began
            seconds = time.perf_counter() - began
            return response.status_code, response.json().get("results", []), seconds

        async def be_honest() -> None:
            while not done.is_set():
                _, results, seconds = await ask({"smiles": honest})
                neighbours.append(([result["status"] for result in results] == ["ok"], seconds))

        alone = [(await ask({"smiles": honest}))[2] for _ in range(_ALONE)]
        beside = asyncio.create_task(be_honest())
        for text in texts:
            status, _, seconds = await ask({text["kind"]: text["data"]})
            answers.append((status, seconds))
        done.set()
        await beside
        try:
            ready = (await client.get("/readyz")).status_code == 200
        except httpx.TransportError:
            ready = False
    return Siege(answers, neighbours, alone, ready)


@dataclass(frozen=True)
class Kept:
    """What a job has in the end.

    Attributes:
        kills: Of its servers.
        lost: Conformers that were asked for, and are not there.
        doubled: Conformers that are there more than once, or that nobody asked for.
    """

    kills: int
    lost: int
    doubled: int


def kill_at_random(serve: Callable[[], AbstractContextManager[str]], molecule: str, kills: int, luck: Random) -> Kept:
    """Submit a job, kill its servers again and again, let the last one end it, and count.

    Args:
        serve: Starts a server with the same state; it is killed at the end of the context.
        molecule: SMILES.
        kills: How many.
        luck: Chooses the moments.
    """
    names = [f"m{k}" for k in range(min(_MOST, _PER_KILL * (kills + 1)))]
    job = ""
    for number in range(kills + 1):
        with serve() as url, httpx.Client(base_url=url, timeout=_ANSWER_S) as client:
            if not job:
                body = _body([{"id": name, "smiles": molecule} for name in names], _COUNT)
                answer = client.post("/v1/conformers", json=body, headers={"Prefer": "respond-async"})
                job = answer.raise_for_status().headers["Location"]
            if number < kills:
                time.sleep(luck.uniform(0, _LIFE_S))
                continue
            while client.get(job).raise_for_status().json()["state"] in ("queued", "running"):
                time.sleep(0.2)
            result = client.get(f"{job}/result").raise_for_status().json()
    return count_kept(kills, names, _COUNT, result["results"])


def count_kept(kills: int, names: list[str], count: int, results: list[dict[str, Any]]) -> Kept:
    """Compare what there is with what was asked for."""
    found = Counter((result["id"], one["index"]) for result in results for one in result["conformers"])
    wanted = {(name, k) for name in names for k in range(count)}
    return Kept(kills, len(wanted - found.keys()), found.total() - len(wanted & found.keys()))


def _body(molecules: list[dict[str, str]], count: int) -> dict[str, Any]:
    return {"molecules": molecules, "num_conformers": count, "seed": 1}
