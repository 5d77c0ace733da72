"""Pack a folder of protein structures into a set of backbones to train on."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.commands.clusters import cluster_sequences
from models.data.backbones import TEST, TRAIN, VALIDATION, BackboneSet, write_backbones
from models.data.proteins import SetOptions, build_set, list_structures, read_members
from models.data.structures import Chain
from models.errors import DataError, ModelError

_MOST_NAMED = 20  # files that are left out by name; more are counted
_FILES_PER_PROCESS = 100  # fewer are read sooner than a process has started
console = Console(stderr=True)

Outcome = tuple[list[tuple[str, Chain]], dict[str, int]] | str


def run(folder: Path, out: Path, options: SetOptions, processes: int) -> int:
    """Read every structure, cluster and divide the chains, write the set.

    Returns:
        0 if every file was read, 1 if some were left out.

    Raises:
        DataError: There are no structures, or no chain is left.
    """
    paths = list_structures(folder)
    if not out.parent.is_dir():
        raise DataError(f"there is no folder {out.parent} to write {out.name} to")
    members: list[tuple[str, Chain]] = []
    counts: Counter[str] = Counter()
    bad = 0
    for path, outcome in _progress(paths, options, processes):
        if isinstance(outcome, str):
            bad += 1
            if bad <= _MOST_NAMED:
                console.print(escape(f"left out {path.relative_to(folder)}: {outcome}"), highlight=False)
        else:
            members += outcome[0]
            counts.update(outcome[1])
    left_out = _words(counts, bad)
    if not members:
        raise DataError(
            f"no chain of {options.shortest} to {options.longest} residues is left of {len(paths):,} files{left_out}"
        )
    with console.status("looking for similar sequences"):
        cluster, kind = cluster_sequences([chain.sequence for _, chain in members])
    chains = build_set(members, cluster, options)
    about = {"files": len(paths) - bad, "left_out": {**counts, "files": bad}, "clusters": kind, **asdict(options)}
    write_backbones(out, chains, about)
    _report(chains, out, kind, left_out)
    return 1 if bad else 0


def _progress(paths: Sequence[Path], options: SetOptions, processes: int) -> Iterator[tuple[Path, Outcome]]:
    """Each file with what became of it, in order, under a progress bar."""
    bar = Progress(
        TextColumn("reading"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[words]}"),
        TimeRemainingColumn(), console=console,
    )  # fmt: skip
    with bar, _reader(min(processes, 1 + len(paths) // _FILES_PER_PROCESS)) as read:
        task, kept = bar.add_task("", total=len(paths), words=""), 0
        for path, outcome in zip(paths, read(partial(_read, options=options), paths), strict=True):
            kept += 0 if isinstance(outcome, str) else len(outcome[0])
            bar.update(task, advance=1, words=f"{kept:,} chains")
            yield path, outcome


@contextlib.contextmanager
def _reader(processes: int) -> Iterator:
    """`map`, in child processes if more than one is asked for."""
    if processes == 1:
        yield map
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield partial(pool.map, chunksize=4)


def _read(path: Path, options: SetOptions) -> Outcome:
    try:
        return read_members(path, options)
    except (ModelError, OSError) as error:
        return str(error)


def _words(counts: Counter[str], bad: int) -> str:
    parts = [f"{number:,} {reason}" for reason, number in counts.items() if number]
    parts += [f"{bad:,} files"] if bad else []
    return f"; left out: {', '.join(parts)}" if parts else ""


def _report(chains: BackboneSet, out: Path, kind: str, left_out: str) -> None:
    parts: Iterable[tuple[str, int]] = (("training", TRAIN), ("validation", VALIDATION), ("tests", TEST))
    split = ", ".join(f"{int((chains.split == part).sum()):,} for {name}" for name, part in parts)
    clusters = len(np.unique(chains.cluster))
    console.print(
        f"{len(chains):,} chains of {len(chains.sequence):,} residues in {escape(str(out))}: {split}; "
        f"{int(chains.core.sum()):,} compact and ordered; {clusters:,} clusters {kind}{left_out}",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
