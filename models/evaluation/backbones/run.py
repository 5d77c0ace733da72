"""Measure samples, natural chains of the same lengths, and natural chains with noise, side by side.

The training chains among them tell what a figure is worth: as many chains as there are samples, drawn from nature, and
still not at the figures of the validation chains themselves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from models.data.backbones import TEST, TRAIN, VALIDATION, BackboneSet
from models.data.quality import measure_backbones
from models.evaluation.backbones.chains import EDGES, Group, filled_bins, natives, per_length, with_noise
from models.evaluation.backbones.histograms import Counts, count, divergence_with_interval, rg_counts
from models.evaluation.backbones.novelty import Library, build_library, search
from models.evaluation.backbones.similarity import CLUSTER_TM, diversity, mean_with_interval
from models.evaluation.conformers import INTERVAL_PERCENT, RESAMPLES, summarise

SAMPLES, NATIVES, TRAINING = "samples", "validation chains", "training chains"
MEASURES = (
    "ca_step_share", "bond_error_ang", "angle_error_deg", "trans_share", "favoured", "outliers", "right_handed",
    "negative_phi", "rg_ratio",
)  # fmt: skip
LIKENESS = ("composition", "content", "torsions", "distances", "rg")
_COMPARED, _SEARCHED = (SAMPLES, NATIVES, TRAINING), (SAMPLES, NATIVES)
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class BackboneConfig:
    """How much is measured.

    Attributes:
        edges: First length of each bin, and the end.
        noises_ang: Noise of the controls, Å.
        max_natives: Most validation chains of a bin, evenly spaced.
        max_compared: Most chains of a row of a bin that are compared with each other; 0 compares none.
        max_searched: Most chains of a row of a bin that are looked for among the training chains; 0 looks for none.
        core_only: Leave out validation and training chains that are not compact or hardly helix and strand.
        seed: Fixes noise and training chains.
    """

    edges: tuple[int, ...] = EDGES
    noises_ang: tuple[float, ...] = (0.3, 0.6)
    max_natives: int = 200
    max_compared: int = 64
    max_searched: int = 32
    core_only: bool = True
    seed: int = 0


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
    def finite(self) -> np.ndarray:
        """Where there is something to measure.  [M] bool"""
        return np.array([fault != "not_finite" for fault in self.faults], bool)


def evaluate_backbones(
    samples: Group, chains: BackboneSet, config: BackboneConfig, on_progress: Progress = lambda phase, done, total: None
) -> dict[str, Any]:
    """Measure everything.

    Args:
        samples: What a model made.
        chains: Validation and test chains to compare with, and the training chains.
        config: How much.
        on_progress: Called with phase, done and total.

    Returns:
        `bins`, each with `low`, `high` and `rows`; `overall`, the rows of all bins together; `test_chains`.

    Raises:
        DataError: A sample is outside of all bins.
    """
    bins = filled_bins(samples, config.edges)
    groups = [_groups(samples, chains, low, high, config) for low, high in bins]
    test = count(natives("test chains", chains, chains.split == TEST))
    measured = []
    for done, rows in enumerate(groups, 1):
        measured.append([measure(group) for group in rows])
        on_progress("geometry", done, len(groups))
    library = _library(chains, on_progress) if config.max_searched else None
    overall = [measure(Group(rows[0].name, _together(rows))) for rows in zip(*groups, strict=True)]
    return {
        "bins": [
            {
                "low": low,
                "high": high - 1,
                "rows": _rows(rows, test, config, library, f"{low}-{high - 1}", on_progress),
            }
            for (low, high), rows in zip(bins, measured, strict=True)
        ],
        "overall": _rows(overall, test, None, None, "all", on_progress),
        "test_chains": len(test.composition),
    }


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


def _groups(samples: Group, chains: BackboneSet, low: int, high: int, config: BackboneConfig) -> list[Group]:
    """The rows of one bin, the same names for every bin."""
    inside = (chains.lengths >= low) & (chains.lengths < high) & (chains.core | (not config.core_only))
    own = samples.between(low, high)
    valid = natives(NATIVES, chains, inside & (chains.split == VALIDATION)).at_most(config.max_natives)
    train = np.flatnonzero(inside & (chains.split == TRAIN))
    chosen = np.random.default_rng((config.seed, low)).permutation(train)[: len(own)]
    floor = natives(TRAINING, chains, np.isin(np.arange(len(chains)), chosen))
    noisy = [with_noise(valid, noise, config.seed) for noise in config.noises_ang]
    return [Group(SAMPLES, own.chains), valid, floor, *noisy]


def _library(chains: BackboneSet, on_progress: Progress) -> Library:
    train = natives(TRAINING, chains, chains.split == TRAIN)
    return build_library(train, lambda done, total: on_progress("training chains to 3Di", done, total))


def _together(groups: Sequence[Group]) -> tuple[np.ndarray, ...]:
    return tuple(chain for group in groups for chain in group.chains)


def _rows(
    rows: Sequence[Measured],
    test: Counts,
    config: BackboneConfig | None,
    library: Library | None,
    label: str,
    on_progress: Progress,
) -> list[dict[str, Any]]:
    """Rows of the record; the pairs only where there is a configuration, and not of controls."""
    reference = next(row for row in rows if row.group.name == NATIVES)
    described = []
    for row in rows:
        found = _describe(row, reference, test, itself=row is reference)
        if config is not None and row.group.name in _COMPARED:
            searched = library if row.group.name in _SEARCHED else None
            found |= _pairs(row, config, searched, label, on_progress)
        described.append(found)
    return described


def _describe(row: Measured, reference: Measured, test: Counts, itself: bool) -> dict[str, Any]:
    """What a row is like, and how near the validation and the test chains."""
    finite, shares = row.finite, row.counts.shares
    passed = [fault is None for fault in row.faults]
    known = {name: values[finite] for name, values in row.values.items()}
    return {
        "name": row.group.name,
        "chains": len(row.group),
        "lengths": dict(sorted(Counter(map(int, row.group.lengths)).items())),
        "passed": _fields(passed),
        "faults": dict(sorted(Counter(fault for fault in row.faults if fault).items())),
        **{name: _fields(values) for name, values in known.items()},
        "content": {letter: _fields(column) for letter, column in zip("HEC", shares.T, strict=True)},
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


def _pairs(
    row: Measured, config: BackboneConfig, library: Library | None, label: str, on_progress: Progress
) -> dict[str, Any]:
    """Diversity, and novelty where there is a library."""
    finite = row.group.only(row.finite.tolist())
    described: dict[str, Any] = {}
    if config.max_compared:
        phase = f"TM-scores, {label}, {row.group.name}"
        found = diversity(finite.at_most(config.max_compared), lambda done, total: on_progress(phase, done, total))
        described["diversity"] = {
            "chains": found.chains,
            "mean_tm": found.mean_tm,
            "interval": mean_with_interval(found.matrix, RESAMPLES, INTERVAL_PERCENT),
            "clusters": found.clusters,
        }
    if library is not None:
        phase = f"search, {label}, {row.group.name}"
        asked = finite.at_most(config.max_searched)
        near = search(library, asked.chains, lambda done: on_progress(phase, done, len(asked)))
        scores = [neighbour.tm for neighbour in near]
        described["novelty"] = {
            "chains": len(asked),
            "nearest_tm": _fields(scores),
            "novel": _fields([score < CLUSTER_TM for score in scores]),
            "each": scores,
        }
    return described


def _fields(values: Sequence[float] | np.ndarray) -> dict[str, Any] | None:
    summary = summarise(np.asarray(values, np.float64).tolist())
    return None if summary is None else asdict(summary)
