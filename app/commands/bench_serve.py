"""Measure the service against its own sampler: a real server, real clients, and ratios within one run."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import numpy as np
from rich.console import Console
from rich.table import Table

from app.commands.machine import describe_machine
from app.engine.capacity import calibrate
from app.engine.packing import size_of
from app.main import load
from app.settings import build_settings
from models.data.guess import guess_all
from models.data.molecule import build_molecules, read_smiles
from models.draws import RETRY_STRIDE, Draw
from models.errors import ModelError
from models.options import build_options
from models.paths import run_paths
from models.structure import Molecule
from models.weights import Model

MOLECULE = "NC1CCCC1O"  # 18 atoms with hydrogens
CLIENTS = 64
_START_S = 300.0
_ANSWER_S = 3600.0
_SETTLE_S = 3.0  # for a bulk job to fill the device
_BULK = 10_000  # conformers
_ROUNDS = 5  # draws of a conformer before it is given up


@dataclass(frozen=True)
class Bar:
    """One figure: what was measured, and what is asked of it.

    Attributes:
        name: What it is.
        value: Measured.
        must: Bound.
        aim: What would be good.
        least: Whether larger is better.
    """

    name: str
    value: float
    must: float
    aim: float
    least: bool = True

    @property
    def verdict(self) -> str:
        """`aim`, `must` or `missed`."""
        met = [self.value >= bound if self.least else self.value <= bound for bound in (self.aim, self.must)]
        return "aim" if met[0] else "must" if met[1] else "missed"


def run(
    steps: int,
    singles: int,
    seconds: float,
    out: Path | None,
    weights: Path | None,
    model: str | None,
    device: str | None,
) -> None:
    """Print the figures, and write them as JSON where `out` says.

    Args:
        steps: Sampler steps of each conformer.
        singles: Requests of one conformer, one after another, without and with a bulk job.
        seconds: How long `/healthz` is asked for.
        out: JSON file.
        weights: Folder with the registry.
        model: Name in the registry.
        device: `auto`, `cpu`, `cuda`, ...

    Raises:
        ModelError: The server did not start.
    """
    settings = build_settings(weights_dir=weights, model=model, device=device)
    loaded, console = load(settings), Console()
    (molecule,) = build_molecules(read_smiles(MOLECULE), 0)
    with console.status("measuring the bare sampler"):
        batch = calibrate(loaded, molecule).rows(size_of(molecule.num_atoms))
        bare = bare_rate(loaded, molecule, batch, steps, time.perf_counter)
    given = {"weights": weights, "model": model, "device": device}
    words = [f"--{name}={value}" for name, value in given.items() if value is not None]
    with console.status("measuring the service"), server(words) as url:
        figures = asyncio.run(measure(url, batch, steps, singles, seconds))
    figures |= {"batch": batch, "bare_conformers_per_s": bare}
    bars = to_bars(figures)
    console.print(to_table(bars))
    if out is not None:
        record = {
            "model": loaded.name,
            "molecule": MOLECULE,
            "steps": steps,
            "machine": describe_machine(loaded.device),
            "bars": [{**asdict(bar), "verdict": bar.verdict} for bar in bars],
            "figures": figures,
        }
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(record, indent=2) + "\n")


def bare_rate(model: Model, molecule: Molecule, batch: int, steps: int, clock: Callable[[], float]) -> float:
    """Raw structures per second of one batch that begins and ends together, not checked; the second of two counts."""
    draws = [Draw(0, k, k, 0) for k in range(batch)]
    seconds = 0.0
    for _ in range(2):
        began = clock()
        run_paths(model, [molecule], draws, build_options(steps=steps), guess_all, lambda: None)
        seconds = clock() - began
    return batch / seconds


@contextmanager
def server(words: list[str]) -> Iterator[str]:
    """A server in its own process, ready to sample; gives its address."""
    with TemporaryDirectory() as folder, (Path(folder) / "log").open("w+") as log:
        command = [sys.executable, "-c", "from app.cli import main; main()", "serve", "--host=127.0.0.1", "--port=0"]
        process = subprocess.Popen([*command, *words], stdout=log, stderr=log)
        try:
            end = time.monotonic() + _START_S
            while "Ready." not in (text := Path(log.name).read_text()):
                if process.poll() is not None or time.monotonic() > end:
                    raise ModelError(f"the server did not start: {text.strip() or 'it said nothing'}")
                time.sleep(0.05)
            found = re.search(r"Shapespace at (http://\S+)", text)
            assert found is not None
            yield found.group(1)
        finally:
            process.kill()
            process.wait()


async def measure(url: str, batch: int, steps: int, singles: int, seconds: float) -> dict[str, Any]:
    """All figures of a running service."""
    limits = httpx.Limits(max_connections=4 * CLIENTS)
    async with httpx.AsyncClient(base_url=url, timeout=_ANSWER_S, limits=limits) as client:
        ask = Asker(client, steps)
        await ask(1, 0)  # the first request pays for much
        idle = [await ask.timed(1, 1 + k) for k in range(singles)]
        began = time.perf_counter()
        await asyncio.gather(*(ask(1, 1000 + k) for k in range(CLIENTS)))
        together = CLIENTS / (time.perf_counter() - began)
        began = time.perf_counter()
        drawn = await ask(3 * batch, 5000)
        rate = drawn / (time.perf_counter() - began)
        async with bulk(ask):
            beside = [await ask.timed(1, 9000 + k) for k in range(singles)]
            health = await health_rate(client, seconds)
    return {
        "http_conformers_per_s": rate,
        "one_at_a_time_per_s": len(idle) / sum(idle),
        "together_per_s": together,
        "idle_s": _percentiles(idle),
        "beside_bulk_s": _percentiles(beside),
        "healthz_per_s": health,
    }


class Asker:
    """Posts requests for one molecule."""

    def __init__(self, client: httpx.AsyncClient, steps: int) -> None:
        self._client, self._steps = client, steps

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
        molecules = [{"smiles": MOLECULE}]
        body = {
            "molecules": molecules,
            "num_conformers": count,
            "seed": seed,
            "sampler": {"steps": self._steps},
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


async def health_rate(client: httpx.AsyncClient, seconds: float) -> float:
    """Answers of `/healthz` per second to eight callers, each asking again at once."""
    end = time.perf_counter() + seconds

    async def one() -> int:
        count = 0
        while time.perf_counter() < end:
            (await client.get("/healthz")).raise_for_status()
            count += 1
        return count

    return sum(await asyncio.gather(*(one() for _ in range(8)))) / seconds


def to_bars(figures: dict[str, Any]) -> list[Bar]:
    """The figures as ratios."""
    through = figures["http_conformers_per_s"] / figures["bare_conformers_per_s"]
    slower = figures["beside_bulk_s"]["p99"] / figures["idle_s"]["p99"]
    gain = figures["together_per_s"] / figures["one_at_a_time_per_s"]
    return [
        Bar("structures/s through HTTP / bare sampler", through, 0.90, 0.97),
        Bar("p99 of one conformer beside a bulk job / idle", slower, 3.0, 1.5, least=False),
        Bar(f"{CLIENTS} requests together / one at a time", gain, 2.0, 4.0),
        Bar("/healthz per second while saturated", figures["healthz_per_s"], 300.0, 1000.0),
    ]


def to_table(bars: list[Bar]) -> Table:
    """For people."""
    table = Table("figure", "measured", "must", "aim", "met")
    for bar in bars:
        table.add_row(bar.name, f"{bar.value:.2f}", f"{bar.must:g}", f"{bar.aim:g}", bar.verdict)
    return table


def _percentiles(seconds: list[float]) -> dict[str, float]:
    return {f"p{k}": float(np.percentile(seconds, k)) for k in (50, 90, 99)}
