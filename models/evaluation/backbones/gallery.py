"""A picture of backbones: their CA traces, helices and strands in colour."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from models.data.residues import SECONDARY
from models.data.secondary import annotate_secondary

_COLOURS = {"H": (0.80, 0.22, 0.20), "E": (0.16, 0.42, 0.72), "C": (0.62, 0.62, 0.62)}
_FINE = 8  # points between two residues
_WIDTHS = {"H": 5.0, "E": 5.0, "C": 2.0}


def draw_gallery(chains: Sequence[np.ndarray], titles: Sequence[str], columns: int = 4) -> Figure:
    """Draw chains beside each other, each seen along its shortest axis.

    Args:
        chains: N, CA, C, O, Å.  [L, 4, 3] each
        titles: One for each.
        columns: In a row.
    """
    rows = -(-len(chains) // columns)
    figure = Figure(figsize=(3.0 * columns, 3.2 * rows), layout="constrained", dpi=110)
    axes = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, chain, title in zip(axes, chains, titles, strict=False):
        _draw(axis, np.asarray(chain, np.float64)[:, 1])
        axis.set_title(title, fontsize=9)
        axis.set_aspect("equal")
    return figure


def _draw(axis, alpha: np.ndarray) -> None:  # type: ignore[no-untyped-def]
    """One trace, what is nearer drawn over what is farther.  [L, 3]"""
    centred = alpha - alpha.mean(0)
    axes = np.linalg.svd(centred, full_matrices=False)[2]
    axes[2] *= np.sign(np.linalg.det(axes))  # a mirror image would show left-handed helices
    x, y, depth = _smooth(centred @ axes.T).T
    nearest = np.rint(np.arange(len(x) - 1) / _FINE).astype(int)
    codes = annotate_secondary(alpha.astype(np.float32))[nearest]
    letters = [SECONDARY[code] for code in codes]
    segments = np.stack((np.stack((x[:-1], y[:-1]), 1), np.stack((x[1:], y[1:]), 1)), 1)
    order = np.argsort(depth[:-1])
    light = (depth[:-1] - depth.min()) / max(float(np.ptp(depth)), 1e-6)
    colours = [tuple(1 - (1 - c) * (0.45 + 0.55 * light[k]) for c in _COLOURS[letters[k]]) for k in order]
    axis.add_collection(
        LineCollection(
            list(segments[order]), colors=colours, linewidths=[_WIDTHS[letters[k]] for k in order], capstyle="round"
        )
    )
    axis.autoscale()


def _smooth(points: np.ndarray) -> np.ndarray:
    """Catmull-Rom spline through all points.  [L, 3] -> [(L-1)*8+1, 3]"""
    before, here, after, beyond = (
        np.concatenate((points[:1], points, points[-1:]))[k : k + len(points) - 1, None] for k in range(4)
    )
    t = (np.arange(_FINE) / _FINE)[:, None]
    curve = 2 * here + (after - before) * t + (2 * before - 5 * here + 4 * after - beyond) * t**2
    curve = 0.5 * (curve + (3 * here - before - 3 * after + beyond) * t**3)
    return np.concatenate((curve.reshape(-1, 3), points[-1:]))
