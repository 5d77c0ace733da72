"""Measure the service against its own sampler: a real server, real clients, and ratios within one run."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from app import __version__
from app.commands.bench_bars import to_bars, to_hostile_bars, to_kill_bars, to_markdown, to_table
from app.commands.bench_load import BATCHES, measure
from app.commands.bench_siege import besiege, kill_at_random
from app.commands.machine import describe_machine
from app.engine.capacity import calibrate
from app.engine.packing import size_of
from app.intake.guesser import PoolGuesser
from app.intake.pool import ChildPool
from app.main import leave_room, load
from app.settings import Settings, build_settings
from models.data.molecule import build_molecules, read_smiles
from models.draws import Draw
from models.errors import ModelError
from models.options import SampleOptions, build_options
from models.paths import run_paths
from models.structure import Molecule
from models.weights import Model

MOLECULE = "NC1CCCC1O"  # 18 atoms with hydrogens
_START_S = 300.0


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
                figures = asyncio.run(measure(url, MOLECULE, batch, options, singles, seconds))
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
        for number in range(BATCHES + 1):
            if number == 1:  # the first has paid for children that start, and for much in torch
                began = clock()
            run_paths(model, [molecule], draws, options, PoolGuesser(pool), lambda: None)
        return BATCHES * batch / (clock() - began)
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
