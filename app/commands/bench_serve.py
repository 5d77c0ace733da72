"""Measure the service against its own sampler: a real server, real clients, and ratios within one run."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import numpy as np
from rich.console import Console
from rich.table import Table

from app import __version__
from app.commands.bench_siege import HOSTILE_S, Kept, Siege, besiege, kill_at_random
from app.commands.machine import describe_machine
from app.engine.capacity import calibrate
from app.engine.packing import size_of
from app.intake.guesser import PoolGuesser
from app.intake.pool import ChildPool
from app.main import leave_room, load
from app.settings import Settings, build_settings
from models.data.molecule import build_molecules, read_smiles
from models.draws import RETRY_STRIDE, Draw
from models.errors import ModelError
from models.options import SampleOptions, build_options
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
_BARE = 3  # batches that are timed


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
    start: str,
    steps: int | None,
    singles: int,
    seconds: float,
    repeats: int,
    hostile: Path | None,
    kills: int,
    out: Path | None,
    weights: Path | None,
    model: str | None,
    device: str | None,
) -> None:
    """Print the figures, and write them where `out` says: as JSON, and as a table beside it, with the ending `.md`.

    Args:
        start: Where paths begin.
        steps: Sampler steps of each conformer; None is the default of the start.
        singles: Requests of one conformer, one after another, without and with a bulk job.
        seconds: How long `/healthz` is asked for.
        repeats: How often all is measured; medians count.
        hostile: File with hostile molecules, a JSON object with `kind` and `data` on each line; None leaves them out.
        kills: How often a server is killed in the middle of a job.
        out: JSON file.
        weights: Folder with the registry.
        model: Name in the registry.
        device: `auto`, `cpu`, `cuda`, ...

    Raises:
        ModelError: The server did not start.
    """
    settings = leave_room(build_settings(weights_dir=weights, model=model, device=device))
    options = build_options(start, steps)
    texts = [json.loads(line) for line in hostile.read_text().splitlines()] if hostile else []
    loaded, console = load(settings), Console()
    (molecule,) = build_molecules(read_smiles(MOLECULE), 0)
    batch = calibrate(loaded, molecule).rows(size_of(molecule.num_atoms))
    given = {"weights": weights, "model": model, "device": device}
    words = [f"--{name}={value}" for name, value in given.items() if value is not None]
    rounds: list[dict[str, Any]] = []
    with server(words) as url:
        for number in range(repeats):
            with console.status(f"round {number + 1} of {repeats}"):
                bare = bare_rate(loaded, molecule, batch, options, settings, time.perf_counter)
                figures = asyncio.run(measure(url, batch, options, singles, seconds))
                rounds.append(figures | {"bare_conformers_per_s": bare})
        bars = to_bars(rounds)
        if texts:
            with console.status("sending hostile molecules"):
                bars += to_hostile_bars(asyncio.run(besiege(url, MOLECULE, texts)))
    if kills:
        with console.status("killing servers"), TemporaryDirectory() as state:
            bars += to_kill_bars(kill_at_random(lambda: server(words, Path(state)), MOLECULE, kills, Random(kills)))
    console.print(to_table(bars))
    if out is not None:
        record = {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "version": __version__,
            "model": loaded.name,
            "molecule": MOLECULE,
            "sampling": options.to_values(),
            "batch": batch,
            "machine": describe_machine(loaded.device),
            "bars": [{**asdict(bar), "verdict": bar.verdict} for bar in bars],
            "rounds": rounds,
        }
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(record, indent=2) + "\n")
        out.with_suffix(".md").write_text(to_markdown(bars))


def bare_rate(
    model: Model,
    molecule: Molecule,
    batch: int,
    options: SampleOptions,
    settings: Settings,
    clock: Callable[[], float],
) -> float:
    """Raw structures per second of batches that begin and end together, not checked, with guesses from children."""
    draws = [Draw(0, k, k, 0) for k in range(batch)]
    pool = ChildPool(settings.parse_processes, settings.parse_timeout_s, settings.parse_memory_mb)
    pool.start()
    try:
        for number in range(_BARE + 1):
            if number == 1:  # the first has paid for children that start, and for much in torch
                began = clock()
            run_paths(model, [molecule], draws, options, PoolGuesser(pool), lambda: None)
        return _BARE * batch / (clock() - began)
    finally:
        pool.close()


@contextmanager
def server(words: list[str], state: Path | None = None) -> Iterator[str]:
    """A server in its own process, ready to sample, killed in the end; gives its address.

    Args:
        words: Options of `shapespace serve`.
        state: Folder of what outlasts it; by default it leaves nothing behind.
    """
    with TemporaryDirectory() as folder, (Path(folder) / "log").open("w+") as log:
        here = {"SHAPESPACE_STATE_DIR": str(state or folder), "SHAPESPACE_JOB_LEASE_S": "2"}
        command = [sys.executable, "-c", "from app.cli import main; main()", "serve", "--host=127.0.0.1", "--port=0"]
        process = subprocess.Popen([*command, *words], stdout=log, stderr=log, env=os.environ | here)
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


async def measure(url: str, batch: int, options: SampleOptions, singles: int, seconds: float) -> dict[str, Any]:
    """All figures of a running service, once."""
    limits = httpx.Limits(max_connections=4 * CLIENTS)
    async with httpx.AsyncClient(base_url=url, timeout=_ANSWER_S, limits=limits) as client:
        ask = Asker(client, options)
        await ask(2 * batch, 0)  # the first request pays for much
        idle = [await ask.timed(1, 1 + k) for k in range(singles)]
        began = time.perf_counter()
        await asyncio.gather(*(ask(1, 1000 + k) for k in range(CLIENTS)))
        together = CLIENTS / (time.perf_counter() - began)
        began = time.perf_counter()
        drawn = await ask(_BARE * batch, 5000)
        rate = drawn / (time.perf_counter() - began)
        async with bulk(ask):
            beside = [await ask.timed(1, 9000 + k) for k in range(singles)]
            health = await health_rate(url, seconds)
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

    def __init__(self, client: httpx.AsyncClient, options: SampleOptions) -> None:
        self._client, self._options = client, options

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


def to_bars(rounds: list[dict[str, Any]]) -> list[Bar]:
    """Medians of the ratios of each round."""

    def middle(ratio: Callable[[dict[str, Any]], float]) -> float:
        return median(map(ratio, rounds))

    return [
        Bar(
            "structures/s through HTTP / bare sampler",
            middle(lambda r: r["http_conformers_per_s"] / r["bare_conformers_per_s"]), 0.90, 0.97,
        ),
        Bar(
            "p99 of one conformer beside a bulk job / idle",
            middle(lambda r: r["beside_bulk_s"]["p99"] / r["idle_s"]["p99"]), 3.0, 1.5, least=False,
        ),
        Bar(
            f"{CLIENTS} requests together / one at a time",
            middle(lambda r: r["together_per_s"] / r["one_at_a_time_per_s"]), 2.0, 4.0,
        ),
        Bar("/healthz per second while saturated", middle(lambda r: r["healthz_per_s"]), 300.0, 1000.0),
    ]  # fmt: skip


def to_hostile_bars(siege: Siege) -> list[Bar]:
    """Shares of hostile molecules that were answered in time, and of their neighbours that were served."""
    good = [status < 500 and seconds <= HOSTILE_S for status, seconds in siege.answers]
    return [
        Bar("hostile inputs answered in time", sum(good) / len(good), 1.0, 1.0),
        Bar("requests beside them that were served", sum(siege.neighbours) / len(siege.neighbours), 1.0, 1.0),
    ]


def to_kill_bars(kept: Kept) -> list[Bar]:
    """What kills cost."""
    return [Bar(f"conformers lost or doubled over {kept.kills} kills", kept.lost + kept.doubled, 0.0, 0.0, least=False)]


def to_table(bars: list[Bar]) -> Table:
    """For people."""
    table = Table("figure", "measured", "must", "aim", "met")
    for bar in bars:
        table.add_row(bar.name, f"{bar.value:.2f}", f"{bar.must:g}", f"{bar.aim:g}", bar.verdict)
    return table


def to_markdown(bars: list[Bar]) -> str:
    """For documents."""
    lines = ["| figure | measured | must | aim | met |", "|---|---|---|---|---|"]
    lines += [f"| {bar.name} | {bar.value:.2f} | {bar.must:g} | {bar.aim:g} | {bar.verdict} |" for bar in bars]
    return "\n".join(lines) + "\n"


def _percentiles(seconds: list[float]) -> dict[str, float]:
    return {f"p{k}": float(np.percentile(seconds, k)) for k in (50, 90, 99)}
