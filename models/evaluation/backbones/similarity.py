"""How alike backbones are: TM-scores, and clusters by them.

Axes: M backbones, L residues.  Coordinates in angstrom.

Source:
    Zhang and Skolnick 2005, "TM-align", through tmtools.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from models.evaluation.backbones.chains import Group
from models.evaluation.backbones.extras import load_extra

CLUSTER_TM = 0.5  # chains of the same fold are above it
_CA = 1


@dataclass(frozen=True)
class Diversity:
    """How alike M backbones are.

    Attributes:
        chains: Backbones compared, all pairs of them.
        mean_tm: Mean TM-score of the pairs; None below two backbones.
        clusters: Groups that remain when all backbones above `CLUSTER_TM` are joined, directly or through others.
        matrix: TM-score of each pair.  [M, M]
    """

    chains: int
    mean_tm: float | None
    clusters: int
    matrix: np.ndarray


def tm_scores(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """TM-scores of the best alignment that TM-align finds, over the length of the first and of the second.

    Each length is normalised by its own alignment score; between 0 and 1.

    Args:
        first: Backbone, Å.  [L1, 4, 3]
        second: Backbone, Å.  [L2, 4, 3]
    """
    x, y = (np.ascontiguousarray(chain[:, _CA], np.float64) for chain in (first, second))
    found = load_extra("tmtools").tm_align(x, y, "A" * len(x), "A" * len(y))
    return float(found.tm_norm_chain1), float(found.tm_norm_chain2)


def diversity(group: Group, on_progress: Callable[[int, int], None] = lambda done, total: None) -> Diversity:
    """Compare all pairs; the score of chains of different length is the mean over both lengths.

    Only finite chains can be compared; leave others out before.
    """
    count = len(group)
    matrix = np.eye(count)
    pairs = list(zip(*np.triu_indices(count, 1), strict=True))
    for done, (i, j) in enumerate(pairs, 1):
        matrix[i, j] = matrix[j, i] = np.mean(tm_scores(group.chains[i], group.chains[j]))
        on_progress(done, len(pairs))
    mean = float(matrix[np.triu_indices(count, 1)].mean()) if pairs else None
    return Diversity(count, mean, cluster_count(matrix), matrix)


def cluster_count(matrix: np.ndarray, threshold: float = CLUSTER_TM) -> int:
    """Number of groups after joining all that are above the threshold (single linkage).  [M, M] -> int"""
    joined = (matrix > threshold) | np.eye(len(matrix), dtype=bool)
    for _ in range(max(1, len(matrix)).bit_length()):  # each square doubles the length of the paths
        joined = joined @ joined
    return len(np.unique(joined, axis=0)) if len(matrix) else 0


def mean_with_interval(matrix: np.ndarray, resamples: int, percent: Sequence[float]) -> tuple[float, float] | None:
    """Bootstrap interval of the mean pairwise score, over the backbones; pairs of a backbone with itself left out."""
    if len(matrix) < 2:
        return None
    rows = np.random.default_rng(0).multinomial(len(matrix), np.full(len(matrix), 1 / len(matrix)), resamples)
    off = matrix - np.diag(np.diag(matrix))
    weight = rows.sum(1) ** 2 - np.square(rows).sum(1)
    means = np.einsum("rm,mk,rk->r", rows, off, rows, optimize=True) / np.maximum(weight, 1)
    low, high = np.percentile(means[weight > 0], percent)
    return float(low), float(high)
