"""Ensembles of a model against references, one number of each kind for each molecule."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from models.evaluation.case import Case
from models.evaluation.conformers import Sampled, Score, coverage, matching, score
from models.evaluation.draw import draw_samples
from models.options import SampleOptions
from models.weights import Model

THRESHOLDS_ANG = (0.25, 0.5)
Quantities = dict[str, list[float]]


def measure_ensembles(
    model: Model,
    cases: Sequence[Case],
    options: SampleOptions,
    clock: Callable[[], float],
    on_progress: Callable[[str, int, int], None] = lambda phase, done, total: None,
) -> Quantities:
    """Sample every case once, keep faulty structures, and compare with the references."""
    drawn = draw_samples(model, cases, replace(options, rounds=1), clock, on_progress)
    return columns([score(Sampled(c.target, x)) for c, x in zip(cases, drawn.first, strict=True) if c.target])


def columns(scores: Sequence[Score]) -> Quantities:
    """One column for each quantity, one value for each molecule; nan where there is none."""
    named: Quantities = {}
    for threshold in THRESHOLDS_ANG:
        for letter, side in (("R", "recall_ang"), ("P", "precision_ang")):
            values = [100 * coverage(np.array(getattr(s, side)), threshold) for s in scores]
            named[f"COV-{letter} < {threshold:g} Å, %"] = values
    for letter, side in (("R", "recall_ang"), ("P", "precision_ang")):
        distances = [matching(np.array(getattr(s, side))) for s in scores]
        named[f"AMR-{letter}, Å"] = [float("nan") if d is None else d for d in distances]
    named["valid, %"] = [100 * s.validity.valid / max(1, s.validity.structures) for s in scores]
    return named
