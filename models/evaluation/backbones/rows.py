"""One row of an evaluation: what a group of backbones is like, beside the validation and the test chains."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from models.data.quality import measure_backbones
from models.evaluation.backbones.chains import Group, per_length
from models.evaluation.backbones.histograms import (
    Counts,
    count,
    divergence_change,
    divergence_with_interval,
    rg_counts,
)
from models.evaluation.conformers import summarise

SAMPLES, NATIVES, TRAINING = "samples", "validation chains", "training chains"
MEASURES = (
    "ca_step_share", "bond_error_ang", "angle_error_deg", "trans_share", "favoured", "outliers", "right_handed",
    "negative_phi", "rg_ratio",
)  # fmt: skip
LIKENESS = ("composition", "content", "torsions", "distances", "rg")
TO_TEST = LIKENESS[:2]


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
        "to_test": {name: divergence_with_interval(getattr(row.counts, name), getattr(test, name)) for name in TO_TEST},
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


def describe_change(row: Measured, base: Measured, reference: Measured, test: Counts) -> dict[str, Any]:
    """A row less another, chain by chain: means of the differences with their bootstrap intervals.

    Chain k of both rows has the same length and seed.  Measures are over the chains that are finite in both.

    Returns:
        The fields of `describe` that have a difference, under the same names.
    """
    both = row.finite & base.finite
    shares = row.counts.shares - base.counts.shares
    looks, others, natural = (_looks(one) for one in (row, base, reference))
    return {
        "name": f"{row.group.name} less {base.group.name}",
        "chains": len(row.group),
        "passed": fields(row.passed.astype(np.float64) - base.passed),
        "faults": {},
        **{name: fields((values - base.values[name])[both]) for name, values in row.values.items()},
        "content": {letter: fields(column) for letter, column in zip("HEC", shares.T, strict=True)},
        "to_validation": {name: divergence_change(looks[name], others[name], natural[name]) for name in LIKENESS},
        "to_test": {name: divergence_change(looks[name], others[name], getattr(test, name)) for name in TO_TEST},
    }


def _likeness(row: Measured, reference: Measured) -> dict[str, tuple[float, float, float] | None]:
    """Divergence of everything that is counted."""
    looks, natural = _looks(row), _looks(reference)
    return {name: divergence_with_interval(looks[name], natural[name]) for name in LIKENESS}


def _looks(row: Measured) -> dict[str, np.ndarray]:
    """Everything that is counted, by the words of `LIKENESS`.  [M, K] each"""
    counts = {name: getattr(row.counts, name) for name in LIKENESS[:-1]}
    return {**counts, "rg": rg_counts(row.values["rg_ratio"])}


def fields(values: Sequence[float] | np.ndarray) -> dict[str, Any] | None:
    """Fields of the `Summary` of some values; None without any."""
    summary = summarise(np.asarray(values, np.float64).tolist())
    return None if summary is None else asdict(summary)
