"""One row of an evaluation: what a group of backbones is like, beside the validation and the test chains."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from models.data.quality import measure_backbones
from models.evaluation.backbones.chains import Group, per_length
from models.evaluation.backbones.histograms import Counts, count, divergence_with_interval, rg_counts
from models.evaluation.conformers import summarise

SAMPLES, NATIVES, TRAINING = "samples", "validation chains", "training chains"
MEASURES = (
    "ca_step_share", "bond_error_ang", "angle_error_deg", "trans_share", "favoured", "outliers", "right_handed",
    "negative_phi", "rg_ratio",
)  # fmt: skip
LIKENESS = ("composition", "content", "torsions", "distances", "rg")


@dataclass(frozen=True)
class Measured:
    """A group with what was found in it.

    Attributes:
        group: M backbones.
        values: One number of each backbone by name; see `MEASURES`.  [M] each
        faults: First fault of each, or None.
        counts: What it looks like.
    """

    group: Group
    values: dict[str, np.ndarray]
    faults: tuple[str | None, ...]
    counts: Counts

    @property
    def passed(self) -> np.ndarray:
        """Which have no fault.  [M] bool"""
        return np.array([fault is None for fault in self.faults], bool)

    @property
    def finite(self) -> np.ndarray:
        """Where there is something to measure.  [M] bool"""
        return np.array([fault != "not_finite" for fault in self.faults], bool)


def measure(group: Group) -> Measured:
    """Measure one group."""

    def judge(x: np.ndarray) -> list[tuple[np.ndarray, str | None]]:
        quality = measure_backbones(x)
        known = {**vars(quality), "outliers": 1 - quality.allowed}
        return list(zip(np.stack([known[name] for name in MEASURES], 1), quality.faults, strict=True))

    found = per_length(group, judge)
    numbers = np.array([row for row, _ in found], np.float64).reshape(len(group), len(MEASURES))
    faults = tuple(fault for _, fault in found)
    return Measured(group, dict(zip(MEASURES, numbers.T, strict=True)), faults, count(group))


def describe(row: Measured, reference: Measured, test: Counts, itself: bool) -> dict[str, Any]:
    """What a row is like, and how near the validation and the test chains."""
    finite, shares = row.finite, row.counts.shares
    known = {name: values[finite] for name, values in row.values.items()}
    return {
        "name": row.group.name,
        "chains": len(row.group),
        "lengths": dict(sorted(Counter(map(int, row.group.lengths)).items())),
        "passed": fields(row.passed),
        "faults": dict(sorted(Counter(fault for fault in row.faults if fault).items())),
        **{name: fields(values) for name, values in known.items()},
        "content": {letter: fields(column) for letter, column in zip("HEC", shares.T, strict=True)},
        "to_validation": None if itself else _likeness(row, reference),
        "to_test": {
            name: divergence_with_interval(getattr(row.counts, name), getattr(test, name))
            for name in ("composition", "content")
        },
        "histograms": {
            "torsions": row.counts.torsions.sum(0).tolist(),
            "distances": row.counts.distances.sum(0).tolist(),
        },
        "each": {
            "length": row.group.lengths.tolist(),
            "fault": list(row.faults),
            "helix": shares[:, 0].tolist(),
            "strand": shares[:, 1].tolist(),
            **{name: row.values[name].tolist() for name in ("ca_step_share", "favoured", "outliers", "rg_ratio")},
        },
    }


def _likeness(row: Measured, reference: Measured) -> dict[str, tuple[float, float, float] | None]:
    """Divergence of everything that is counted."""
    pairs = {name: (getattr(row.counts, name), getattr(reference.counts, name)) for name in LIKENESS[:-1]}
    pairs["rg"] = (rg_counts(row.values["rg_ratio"]), rg_counts(reference.values["rg_ratio"]))
    return {name: divergence_with_interval(*pair) for name, pair in pairs.items()}


def fields(values: Sequence[float] | np.ndarray) -> dict[str, Any] | None:
    """Fields of the `Summary` of some values; None without any."""
    summary = summarise(np.asarray(values, np.float64).tolist())
    return None if summary is None else asdict(summary)
