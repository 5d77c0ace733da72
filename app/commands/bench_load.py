"""Clients of the service that is measured: one after another, many at once, beside a bulk job, and `/healthz`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import numpy as np

from models.draws import RETRY_STRIDE
from models.errors import ModelError
from models.options import SampleOptions

CLIENTS = 64
BATCHES = 3  # as many conformers are asked for at once as fill so many batches
_ANSWER_S = 3600.0
_SETTLE_S = 3.0  # for a bulk job to fill the device
_BULK = 10_000  # conformers
_ROUNDS = 5  # draws of a conformer before it is given up


async def measure(
    url: str, molecule: str, batch: int, options: SampleOptions, singles: int, seconds: float
) -> dict[str, Any]:
    """All figures of a running service, once.

    Args:
        url: Of the service.
        molecule: SMILES.
        batch: Conformers that the bare sampler takes at once.
        options: How to sample.
        singles: Requests of one conformer, one after another, without and with a bulk job.
        seconds: How long `/healthz` is asked for.
    """
    limits = httpx.Limits(max_connections=4 * CLIENTS)
    async with httpx.AsyncClient(base_url=url, timeout=_ANSWER_S, limits=limits) as client:
        ask = Asker(client, molecule, options)
        await ask(2 * batch, 0)  # the first request pays for much
        idle = [await ask.timed(1, 1 + k) for k in range(singles)]
        began = time.perf_counter()
        await asyncio.gather(*(ask(1, 1000 + k) for k in range(CLIENTS)))
        together = CLIENTS / (time.perf_counter() - began)
        began = time.perf_counter()
        drawn = await ask(BATCHES * batch, 5000)
        rate = drawn / (time.perf_counter() - began)
        async with bulk(ask):
            beside = [await ask.timed(1, 9000 + k) for k in range(singles)]
            health = await health_rate(url, seconds)
    return {
        "clients": CLIENTS,
        "http_conformers_per_s": rate,
        "one_at_a_time_per_s": len(idle) / sum(idle),
        "together_per_s": together,
        "idle_s": _percentiles(idle),
        "beside_bulk_s": _percentiles(beside),
        "healthz_per_s": health,
    }


class Asker:
    """Posts requests for one molecule, a SMILES."""

    def __init__(self, client: httpx.AsyncClient, molecule: str, options: SampleOptions) -> None:
        self._client, self._molecule, self._options = client, molecule, options

    async def __call__(self, count: int, seed: int) -> int:
        """Ask for conformers, in as few requests as the service allows; how many structures it drew for them."""
        most = (await self._client.get("/v1/limits")).json()["conformers_per_molecule"]
        parts = [(k, min(most, count - k)) for k in range(0, count, most)]
        return sum(await asyncio.gather(*(self._post(part, seed + k) for k, part in parts)))

    async def timed(self, count: int, seed: int) -> float:
        """The same; how long it took, s."""
        began = time.perf_counter()
        await self._post(count, seed)
        return time.perf_counter() - began

    async def _post(self, count: int, seed: int) -> int:
        body = {
            "molecules": [{"smiles": self._molecule}],
            "num_conformers": count,
            "seed": seed,
            "start": self._options.start,
            "sampler": {"steps": self._options.steps},
        }
        response = await self._client.post("/v1/conformers", json=body)
        response.raise_for_status()
        (result,) = response.json()["results"]
        drawn = [1 + (c["seed"] - seed - c["index"]) // RETRY_STRIDE for c in result["conformers"]]
        return sum(drawn) + _ROUNDS * (count - len(drawn))


@asynccontextmanager
async def bulk(ask: Asker) -> AsyncIterator[None]:
    """More conformers than the device can make meanwhile, given up at the end."""
    job = asyncio.create_task(ask(_BULK, 10**6))
    await asyncio.sleep(_SETTLE_S)
    try:
        yield
        if job.done():
            raise ModelError("the bulk job ended before the measurement; ask for fewer singles")
    finally:
        job.cancel()
        await asyncio.gather(job, return_exceptions=True)


async def health_rate(url: str, seconds: float) -> float:
    """Answers of `/healthz` per second to eight callers, each asking again at once over plain sockets.

    A client library would need more time for a question than the service for its answer, and they share the cores.
    """
    address = httpx.URL(url)
    end = time.perf_counter() + seconds

    async def one() -> int:
        reader, writer = await asyncio.open_connection(address.host, address.port)
        count = 0
        while time.perf_counter() < end:
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: bench\r\n\r\n")
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
            count += head.startswith(b"http/1.1 200")
        writer.close()
        return count

    return sum(await asyncio.gather(*(one() for _ in range(8)))) / seconds


def _percentiles(seconds: list[float]) -> dict[str, float]:
    return {f"p{k}": float(np.percentile(seconds, k)) for k in (50, 90, 99)}
