"""Measure samples, natural chains of the same lengths, and natural chains with noise, side by side.

The training chains among them tell what a figure is worth: as many chains as there are samples, drawn from nature, and
still not at the figures of the validation chains themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.data.backbones import TEST, TRAIN, VALIDATION, BackboneSet
from models.evaluation.backbones.chains import EDGES, Group, filled_bins, natives, with_noise
from models.evaluation.backbones.classes import ClassModel, train_classes
from models.evaluation.backbones.histograms import Counts, count
from models.evaluation.backbones.novelty import Library, build_library
from models.evaluation.backbones.rows import NATIVES, SAMPLES, TRAINING, Measured, describe, measure
from models.evaluation.backbones.studies import compare_classes, compare_pairs, find_neighbours, score_sequences

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
        max_scored: Most chains of a row of a bin that sequences are sampled for; 0 samples none.
        classes: Train the classifier of SCOPe classes, and use it.
        core_only: Leave out validation and training chains that are not compact or hardly helix and strand.
        seed: Fixes noise, the choice of training chains, sequences and classifier.
    """

    edges: tuple[int, ...] = EDGES
    noises_ang: tuple[float, ...] = (0.3, 0.6)
    max_natives: int = 200
    max_compared: int = 64
    max_searched: int = 32
    max_scored: int = 0
    classes: bool = False
    core_only: bool = True
    seed: int = 0


@dataclass(frozen=True)
class _Tools:
    """What is made once for all bins.

    Attributes:
        test: Counts of the test chains.
        library: Training chains to search in.
        classifier: Of SCOPe classes.
    """

    test: Counts
    library: Library | None
    classifier: ClassModel | None


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
        `bins`, each with `low`, `high` and `rows`; `overall`, the rows of all bins together; `test_chains`;
        `classifier`, how good it is, or None.

    Raises:
        DataError: A sample is outside of all bins, a package is missing, or no label is there to learn from.
    """
    bins = filled_bins(samples, config.edges)
    groups = [_groups(samples, chains, low, high, config) for low, high in bins]
    measured = []
    for done, rows in enumerate(groups, 1):
        measured.append([measure(group) for group in rows])
        on_progress("geometry", done, len(groups))
    overall = [measure(Group(rows[0].name, _together(rows))) for rows in zip(*groups, strict=True)]
    tools = _tools(chains, config, on_progress)
    return {
        "bins": [
            {"low": low, "high": high - 1, "rows": _bin(rows, tools, config, f"{low}-{high - 1}", on_progress)}
            for (low, high), rows in zip(bins, measured, strict=True)
        ],
        "overall": _rows(overall, tools),
        "test_chains": len(tools.test.composition),
        "classifier": None if tools.classifier is None else tools.classifier.card(),
    }


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


def _tools(chains: BackboneSet, config: BackboneConfig, on_progress: Progress) -> _Tools:
    test = count(natives("test chains", chains, chains.split == TEST))
    library = classifier = None
    if config.max_searched:
        train = natives(TRAINING, chains, chains.split == TRAIN)
        library = build_library(train, lambda done, total: on_progress("training chains to 3Di", done, total))
    if config.classes:
        classifier = train_classes(
            chains, config.seed, lambda done, total: on_progress("training the classifier", done, total)
        )
    return _Tools(test, library, classifier)


def _together(groups: Sequence[Group]) -> tuple[np.ndarray, ...]:
    return tuple(chain for group in groups for chain in group.chains)


def _bin(
    rows: Sequence[Measured], tools: _Tools, config: BackboneConfig, label: str, on_progress: Progress
) -> list[dict[str, Any]]:
    """Rows of one bin with all that was asked for."""

    def report(phase: str, done: int, total: int) -> None:
        on_progress(f"{label}: {phase}", done, total)

    described = _rows(rows, tools)
    studies = {}
    if config.max_compared:
        studies["diversity"] = compare_pairs(rows, config.max_compared, report)
    if tools.library is not None:
        studies["novelty"] = find_neighbours(rows, tools.library, config.max_searched, report)
    if config.max_scored:
        studies["proxy"] = score_sequences(rows, config.max_scored, config.seed, report)
    return [_with(row, studies) for row in described]


def _rows(rows: Sequence[Measured], tools: _Tools) -> list[dict[str, Any]]:
    """What each row is like."""
    reference = next(row for row in rows if row.group.name == NATIVES)
    described = [describe(row, reference, tools.test, itself=row is reference) for row in rows]
    if tools.classifier is None:
        return described
    classes = compare_classes(rows, tools.classifier)
    return [_with(row, {"classes": classes}) for row in described]


def _with(row: dict[str, Any], studies: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The row with its figures of each study that has any."""
    return row | {study: figures[row["name"]] for study, figures in studies.items() if row["name"] in figures}
