"""What needs more than one look at each backbone: pairs, neighbours, sequences, classes.

Each study takes the rows of one bin and returns its figures by the name of the row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from models.data.residues import FOLD_CLASSES
from models.evaluation.backbones.classes import ClassModel, frechet_distance
from models.evaluation.backbones.histograms import divergence_with_interval
from models.evaluation.backbones.likelihood import sequence_nll
from models.evaluation.backbones.novelty import Library, search
from models.evaluation.backbones.rows import NATIVES, SAMPLES, TRAINING, Measured, fields
from models.evaluation.backbones.similarity import CLUSTER_TM, diversity, mean_with_interval
from models.evaluation.conformers import INTERVAL_PERCENT, RESAMPLES

Figures = dict[str, dict[str, Any]]
Report = Callable[[str, int, int], None]
WITHIN_PERCENT = 95.0  # of the natural chains


def compare_pairs(rows: Sequence[Measured], most: int, report: Report) -> Figures:
    """TM-scores of all pairs of at most `most` backbones, and clusters; not of the controls."""
    figures = {}
    for row in _named(rows, SAMPLES, NATIVES, TRAINING):
        name = row.group.name
        chosen = row.group.only(row.finite.tolist()).at_most(most)
        found = diversity(chosen, partial(report, f"TM-scores, {name}"))
        figures[name] = {
            "chains": found.chains,
            "mean_tm": found.mean_tm,
            "interval": mean_with_interval(found.matrix, RESAMPLES, INTERVAL_PERCENT),
            "clusters": found.clusters,
        }
    return figures


def find_neighbours(rows: Sequence[Measured], library: Library, most: int, report: Report) -> Figures:
    """The nearest training chain of at most `most` samples and natural chains."""
    figures = {}
    for row in _named(rows, SAMPLES, NATIVES):
        name = row.group.name
        chosen = row.group.only(row.finite.tolist()).at_most(most)
        near = search(library, chosen.chains, partial(report, f"search, {name}"))
        scores = [neighbour.tm for neighbour in near]
        figures[name] = {
            "chains": len(chosen),
            "nearest_tm": fields(scores),
            "novel": fields([score < CLUSTER_TM for score in scores]),
            "each": scores,
        }
    return figures


def score_sequences(rows: Sequence[Measured], most: int, seed: int, report: Report) -> Figures:
    """The designability proxy of at most `most` backbones of each row but the training chains.

    Only sound backbones are scored, and where a row has none, as the controls, its finite ones, to show what the proxy
    makes of them.
    """
    scored = [row for row in rows if row.group.name != TRAINING]
    values, sound = {}, {}
    for done, row in enumerate(scored, 1):
        wanted = row.passed if row.passed.any() else row.finite
        values[row.group.name] = sequence_nll(row.group.only(wanted.tolist()).at_most(most), seed=seed)
        sound[row.group.name] = bool(row.passed.any())
        report("sequences", done, len(scored))
    natural = values[NATIVES] if sound[NATIVES] else np.empty(0)
    limit = float(np.percentile(natural, WITHIN_PERCENT)) if len(natural) else None
    return {
        name: {
            "chains": len(found),
            "sound": len(found) if sound[name] else 0,
            "nll": fields(found),
            "limit": limit,
            "within": fields(found <= limit) if sound[name] and limit is not None else None,
        }
        for name, found in values.items()
    }


def compare_classes(rows: Sequence[Measured], model: ClassModel) -> Figures:
    """Classes of the finite backbones, and how far they and the hidden features are from the natural chains."""
    having = [row for row in rows if row.finite.any()]
    found = {row.group.name: model(row.group.only(row.finite.tolist())) for row in having}
    natural = found.get(NATIVES)
    return {
        name: {
            "chains": len(classes),
            "shares": dict(zip(FOLD_CLASSES, classes.mean(0).tolist(), strict=True)),
            "divergence": divergence_with_interval(classes, natural[0]) if natural and name != NATIVES else None,
            "frechet": frechet_distance(features, natural[1]) if natural and name != NATIVES else None,
        }
        for name, (classes, features) in found.items()
    }


def _named(rows: Sequence[Measured], *names: str) -> list[Measured]:
    return [row for row in rows if row.group.name in names]
