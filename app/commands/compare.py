"""The benchmark page: the model from noise and from ETKDG with few and many steps, and RDKit, on the same molecules."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from app import __version__
from app.commands.evaluate import choose_model, console, describe, progress_bars
from app.commands.machine import describe_machine
from app.commands.resumed import pin, write_json
from models.data.datasets import read_set
from models.errors import DataError
from models.evaluation.benchmark import (
    Clocks,
    baseline_names,
    default_thresholds,
    measure_baseline,
    measure_model,
    plan_rows,
)
from models.evaluation.case import Case, read_cases
from models.evaluation.page import NAME, build_benchmark_record, to_page
from models.evaluation.published import PUBLISHED
from models.evaluation.report import describe_cases
from models.evaluation.run import OnProgress
from models.evaluation.scatter import draw_scatter
from models.evaluation.tables import plain
from models.options import SampleOptions
from models.weights import Model, pick_device

CLOCKS = Clocks(time.perf_counter, time.process_time)


@dataclass(frozen=True)
class Source:
    """A file of reference conformers.

    Attributes:
        path: The file.
        title: Heading on the page.
        thresholds_ang: Thresholds of COV, the main one first, Å; empty takes those that suit the size of the molecules.
    """

    path: Path
    title: str
    thresholds_ang: tuple[float, ...] = ()


@dataclass(frozen=True)
class Limits:
    """What is measured of each set.

    Attributes:
        max_references: Most reference conformers of a molecule, evenly spaced.
        max_molecules: Most molecules, evenly spaced; None takes all.
        seed: Fixes the samples of every row.
    """

    max_references: int = 20
    max_molecules: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be measured."""
        for name, least in (("max_references", 1), ("max_molecules", 1), ("seed", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise DataError(f"{name} is {value}; give {least} or more")


def pair_sources(paths: Sequence[Path], titles: Sequence[str], thresholds: Sequence[str]) -> list[Source]:
    """Files with their titles and thresholds, which are given in the same order or not at all.

    Raises:
        DataError: There are more or fewer of them than files, two files have one name, or a threshold is no length.
    """
    for option, given in (("--title", titles), ("--threshold", thresholds)):
        if given and len(given) != len(paths):
            raise DataError(f"{option} is there {len(given)} times for {len(paths)} sets; give one for each, or none")
    if len({path.stem for path in paths}) < len(paths):
        raise DataError(f"two sets have one name among {', '.join(path.name for path in paths)}; rename one")
    return [
        Source(path, titles[k] if titles else path.stem, _lengths(thresholds[k]) if thresholds else ())
        for k, path in enumerate(paths)
    ]


def run(
    sources: Sequence[Source],
    name: str | None,
    weights: Path,
    run_folder: Path | None,
    limits: Limits,
    tries: int,
    processes: int,
    device_name: str,
    threads: int,
    folder: Path,
    work: Path,
) -> None:
    """Measure the rows that `work` lacks, then write page, record and figure into `folder`."""
    if threads:
        torch.set_num_threads(threads)
    model = choose_model(name, weights, run_folder, pick_device(device_name))
    about = _about(model, sources)
    with progress_bars(own_thread=False) as on_progress:
        measure = partial(_measure_rows, model, tries, processes, on_progress)
        sets = [_measure_set(source, limits, work, about, measure) for source in sources]
    record = plain(build_benchmark_record({**about, "settings": asdict(limits)}, sets))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{NAME}.json").write_text(json.dumps(record, allow_nan=False), encoding="utf-8")
    (folder / f"{NAME}.md").write_text(to_page(record), encoding="utf-8")
    draw_scatter(record).savefig(folder / f"{NAME}.png", dpi=120)
    console.print(f"wrote {NAME}.md, {NAME}.json and {NAME}.png to {folder}")


def _about(model: Model, sources: Sequence[Source]) -> dict[str, Any]:
    """When, where and with what; files by their names, so that no page tells where somebody keeps them."""
    names = {str(source.path): source.path.name for source in sources}
    machine = describe_machine(model.device)
    del machine["load_average"]  # each row has its own
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": ["shapespace", *(names.get(word, word) for word in sys.argv[1:])],
        "model": describe(model),
        "versions": {"shapespace": __version__, **{name: version(name) for name in ("rdkit", "torch", "numpy")}},
        "machine": machine,
    }


def _measure_set(
    source: Source,
    limits: Limits,
    work: Path,
    about: dict[str, Any],
    measure: Callable[[Sequence[Case], Path, str], list[dict[str, Any]]],
) -> dict[str, Any]:
    """The part of the record about one set."""
    references = list(read_set(source.path))
    data = {"file": source.path.name, "sha256": sha256(source.path.read_bytes()).hexdigest()}
    place = work / source.path.stem
    parts = {part: about[part] for part in ("model", "versions", "machine")}
    pin(plain({"data": data, **parts, "limits": asdict(limits)}), place, "rows measured", "--work")
    cases = read_cases(references, limits.max_references, limits.max_molecules, limits.seed)
    thresholds = source.thresholds_ang or default_thresholds(cases)
    published = PUBLISHED.get(thresholds[0])
    return {
        "title": source.title,
        "data": {**data, "molecules": len(references)},
        "thresholds_ang": thresholds,
        "molecules": describe_cases(cases),
        "rows": measure(cases, place, source.title),
        "published": asdict(published) if published else None,
    }


def _measure_rows(
    model: Model,
    tries: int,
    processes: int,
    on_progress: OnProgress,
    cases: Sequence[Case],
    place: Path,
    title: str,
) -> list[dict[str, Any]]:
    """Rows of one set; those that were measured before with the same options are read."""
    plans, baseline = plan_rows(tries), baseline_names(tries)
    kept = {name: _read_row(_row_path(place, name), plans.get(name)) for name in (*baseline, *plans)}

    def keep(name: str, row: dict[str, Any], began: dict[str, Any]) -> None:
        kept[name] = whole = {"name": name, **began, **row}
        write_json(_row_path(place, name), whole)
        on_progress(title, sum(row is not None for row in kept.values()), len(kept))

    if not all(kept[name] for name in baseline):
        began = _now()
        for name, row in measure_baseline(cases, tries, CLOCKS, processes, on_progress).items():
            keep(name, row, began)
    for name, options in plans.items():
        if not kept[name]:
            began = _now()
            keep(name, measure_model(model, cases, options, CLOCKS, processes, on_progress), began)
    return [row for row in kept.values() if row]


def _row_path(place: Path, name: str) -> Path:
    """File of a row."""
    return place / f"{name.replace(' + ', ' ').replace(',', '').replace(' ', '-').lower()}.json"


def _read_row(path: Path, options: SampleOptions | None) -> dict[str, Any] | None:
    """A row that was measured with these options, or None."""
    if not path.is_file():
        return None
    row = json.loads(path.read_text(encoding="utf-8"))
    return row if row["options"] == (plain(asdict(options)) if options else None) else None


def _now() -> dict[str, Any]:
    """When a row begins, and how busy the machine is then."""
    load = [round(value, 1) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None
    return {"date": datetime.now(UTC).isoformat(timespec="seconds"), "load_average": load}


def _lengths(text: str) -> tuple[float, ...]:
    """Lengths from `.5,.1` in their order."""
    try:
        found = tuple(dict.fromkeys(float(word) for word in text.split(",")))
    except ValueError:
        found = ()
    if not found or min(found) <= 0:
        raise DataError(f"--threshold is {text!r}; give lengths above 0 in Å with commas between, such as .5,.1")
    return found
