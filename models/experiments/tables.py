"""Quantities of many runs as tables: means over molecules with bootstrap intervals, plain JSON values.

A run gives one value of each quantity for each molecule.  Runs that differ in their seed are averaged molecule by
molecule first, so an interval says how much depends on the choice of molecules; the mean of each seed stands beside it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from models.evaluation.conformers import RESAMPLES, summarise
from models.experiments.ensembles import Quantities

Runs = Mapping[str, Sequence[Quantities]]
CELLS = (
    "Cells: mean over molecules and its 95 % bootstrap interval over molecules "
    f"({RESAMPLES} resamples, percentiles), of values averaged over the seeds; then the mean of each seed alone."
)


def table(title: str, runs: Runs, note: str = "", rows: Sequence[int] | None = None) -> dict[str, Any]:
    """One line for each name of `runs`, one column for each quantity.

    Args:
        title: Heading.
        runs: For each name the quantities of each seed.
        note: What the reader must know.
        rows: Molecules that count; None takes all.
    """
    columns = list(next(iter(runs.values()))[0])
    lines = [
        {"name": name, "cells": [_cell(np.array([seed[column] for seed in seeds], float), rows) for column in columns]}
        for name, seeds in runs.items()
    ]
    return {"title": title, "note": note, "columns": columns, "rows": lines}


def differences(runs: Runs, base: str) -> dict[str, list[Quantities]]:
    """Every other run less the run `base`, for the same seed and molecule."""
    return {
        name: [_less(one, other) for one, other in zip(seeds, runs[base], strict=True)]
        for name, seeds in runs.items()
        if name != base
    }


def to_markdown(record: dict[str, Any]) -> str:
    """An experiment's record as a page: how it was made, its runs, its tables, its rules."""
    parts = ["# Experiment on symmetry", "\n".join(f"- {line}" for line in _about(record))]
    arms = record["arms"]
    parts += ["## Runs", "\n".join(_grid(arms["titles"], arms["lines"]))]
    for one in record["tables"]:
        lines = [[row["name"], *map(_words, row["cells"])] for row in one["rows"]]
        parts += [f"## {one['title']}", *([one["note"]] if one["note"] else [])]
        parts.append("\n".join(_grid(["", *one["columns"]], lines)))
    parts += ["## Rules", "\n".join(f"- {rule}" for rule in record["rules"])]
    return "\n\n".join(parts) + "\n"


def _about(record: dict[str, Any]) -> list[str]:
    """Date, command, versions, machine and data, as far as the record says."""
    lines = [f"date: {record['date']}", f"command: `{' '.join(record['command'])}`"]
    for key in ("versions", "machine", "data", "held_out"):
        lines.append(f"{key.replace('_', ' ')}: " + ", ".join(f"{k} {v}" for k, v in record[key].items()))
    return lines


def _grid(titles: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    rows = (titles, ["---"] * len(titles), *lines)
    return [f"| {' | '.join(row)} |" for row in rows]


def _cell(values: np.ndarray, rows: Sequence[int] | None) -> dict[str, Any] | None:
    """[seeds, M]; molecules that lack a value with any seed are left out."""
    values = values if rows is None else values[:, list(rows)]
    values = values[:, np.isfinite(values).all(0)]
    summary = summarise(values.mean(0).tolist())
    return None if summary is None else {**asdict(summary), "seeds": values.mean(1).tolist()}


def _less(one: Quantities, other: Quantities) -> Quantities:
    return {name: (np.array(values, float) - np.array(other[name], float)).tolist() for name, values in one.items()}


def _words(cell: dict[str, Any] | None) -> str:
    if cell is None:
        return "-"
    seeds = f" ({' / '.join(f'{value:.3g}' for value in cell['seeds'])})" if len(cell["seeds"]) > 1 else ""
    return f"{cell['mean']:.3g} [{cell['low']:.3g}, {cell['high']:.3g}]{seeds}"
