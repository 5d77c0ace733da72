"""Make ensemble training data, in shards that survive every interruption."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.commands.packages import fetch_member
from models.data.datasets import read_excluded
from models.errors import DataError
from models.labels.label import Labelled, LabelSettings, label_molecule
from models.labels.potentials import Aimnet2, Gfn2, Potential
from models.labels.shards import merge_sets, save_set
from models.labels.sources import component_smiles, list_smiles

METHODS = ("aimnet2", "gfn2")
_AIMNET2 = ("Auto3D==2.3.1", "Auto3D/models/aimnet2_wb97m-d3_0.jpt")
_SHARD_S = 60.0  # most work that a kill can cost
console = Console(stderr=True)


def run(
    sources: Sequence[str],
    method: str,
    exclude: Sequence[Path],
    folder: Path,
    count: int,
    settings: LabelSettings,
    seed: int,
    processes: int,
    budget_s: float | None,
    cache: Path,
) -> None:
    """Label molecules until `count` were tried or the time is up, then join the shards into `set.npz`."""
    if method not in METHODS:
        raise DataError(f"unknown method {method!r}; allowed: {', '.join(METHODS)}")
    if not exclude:
        raise DataError("name the test sets with --exclude, so that no test molecule is labelled")
    folder.mkdir(parents=True, exist_ok=True)
    fetch = partial(fetch_member, cache=cache)
    path = fetch(*_AIMNET2) if method == "aimnet2" else None
    header = _header(sources, method, settings, seed)
    _pin(folder / "header.json", header)
    with console.status("reading the sources"):
        queues = [list_smiles(source, fetch, seed) for source in sources]
        excluded = frozenset(read_excluded(exclude))
    tried = _tried(folder)
    todo = [text for text in islice(_interleave(queues), count) if text not in tried]
    bar = Progress(
        TextColumn("labelling"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[words]}"),
        TimeRemainingColumn(), console=console,
    )  # fmt: skip
    ends = time.monotonic() + budget_s if budget_s is not None else float("inf")
    with bar:
        task = bar.add_task("", total=count, completed=len(tried), words="")
        kept = sum(reason == "kept" for reason in tried.values())
        batch: list[tuple[str, Labelled | str]] = []
        written_at = time.monotonic()
        for text, outcome in _outcomes(todo, method, path, settings, excluded, seed, processes, ends):
            batch.append((text, outcome))
            kept += isinstance(outcome, Labelled)
            bar.update(task, advance=1, words=f"{kept} kept")
            if time.monotonic() - written_at > _SHARD_S:
                _write_shard(folder, batch, header)
                batch, written_at = [], time.monotonic()
        _write_shard(folder, batch, header)
    _join(folder, header)


def _join(folder: Path, header: dict) -> None:
    """One set of all shards, with the counts of what was left out."""
    reasons = list(_tried(folder).values())
    counts = {reason: reasons.count(reason) for reason in sorted(set(reasons))}
    total = merge_sets(folder / "set.npz", sorted(folder.glob("shard-*.npz")), {**header, "counts": counts})
    listed = ", ".join(f"{n} {reason}" for reason, n in counts.items() if reason != "kept")
    console.print(f"{total:,} molecules in {folder / 'set.npz'}" + (f"; left out: {listed}" if listed else ""))


def _outcomes(
    todo: Sequence[str],
    method: str,
    path: Path | None,
    settings: LabelSettings,
    excluded: frozenset[str],
    seed: int,
    processes: int,
    ends: float,
) -> Iterator[tuple[str, Labelled | str]]:
    """Label in child processes; a molecule that ends its process is left out and the others go on."""
    queue = iter(todo)
    while True:
        flying: dict[Future, str] = {}
        make = partial(_start_child, method, path, settings, excluded, seed)
        pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=make)
        try:
            while True:
                if time.monotonic() < ends:
                    for text in islice(queue, 2 * processes - len(flying)):
                        flying[pool.submit(_label, text)] = text
                if not flying:
                    return
                for future in wait(flying, return_when=FIRST_COMPLETED).done:
                    outcome = future.result()
                    yield flying.pop(future), outcome
        except BrokenProcessPool:
            # One of those in flight ended its process and nobody knows which; all of them are left out.
            yield from ((text, "crashed") for text in flying.values())
        finally:
            pool.shutdown(cancel_futures=True)


_work: partial[Labelled | str] | None = None  # of this child process


def _start_child(method: str, path: Path | None, settings: LabelSettings, excluded: frozenset[str], seed: int) -> None:
    """Load the method once in a child; one thread each, since molecules are many."""
    global _work
    import torch

    torch.set_num_threads(1)
    potential: Potential = Aimnet2(path) if path is not None else Gfn2()
    _work = partial(label_molecule, potential=potential, settings=settings, excluded=excluded, seed=seed)


def _label(text: str) -> Labelled | str:
    assert _work is not None  # the initializer ran
    smiles = component_smiles(text.removeprefix("component ")) if text.startswith("component ") else text
    return "unreadable" if smiles is None else _work(smiles)


def _interleave(queues: Sequence[Sequence[str]]) -> Iterator[str]:
    """One of each source in turn, for as long as each has any."""
    iterators = [iter(queue) for queue in queues]
    while iterators:
        for iterator in tuple(iterators):
            text = next(iterator, None)
            if text is None:
                iterators.remove(iterator)
            else:
                yield text


def _tried(folder: Path) -> dict[str, str]:
    """What was tried before, and what became of it."""
    path = folder / "tried.jsonl"
    if not path.is_file():
        return {}
    lines = path.read_text().splitlines()
    return dict(json.loads(line) for line in lines if line.endswith("]"))  # a kill can cut the last line


def _write_shard(folder: Path, batch: Sequence[tuple[str, Labelled | str]], header: dict) -> None:
    """Molecules first, then the list of what was tried: a kill between the two repeats work and loses none."""
    molecules = [outcome for _, outcome in batch if isinstance(outcome, Labelled)]
    if molecules:
        number = len(list(folder.glob("shard-*.npz")))
        save_set(folder / f"shard-{number:05d}.npz", molecules, header)
    with (folder / "tried.jsonl").open("a") as file:
        for text, outcome in batch:
            file.write(json.dumps([text, outcome if isinstance(outcome, str) else "kept"]) + "\n")


def _header(sources: Sequence[str], method: str, settings: LabelSettings, seed: int) -> dict:
    names = {"aimnet2": Aimnet2.name, "gfn2": Gfn2.name}
    tools = {name: version(name) for name in ("rdkit", "torch", "numpy", "biotite")}
    if method == "gfn2":
        try:
            tools["tblite"] = version("tblite")
        except PackageNotFoundError:
            raise DataError("GFN2-xTB needs the package tblite; install it with `pip install tblite`") from None
    else:
        tools["AIMNet2"] = "/".join(_AIMNET2)
    return {
        "method": names[method],
        "sources": [source if "/" not in source else Path(source).name for source in sources],
        "seed": seed,
        "settings": asdict(settings),
        "tools": tools,
    }


def _pin(path: Path, header: dict) -> None:
    """One folder holds one kind of data."""
    if path.is_file() and json.loads(path.read_text()) != header:
        raise DataError(f"{path.parent} holds data of another method or other settings; choose another --out")
    path.write_text(json.dumps(header, indent=2))
