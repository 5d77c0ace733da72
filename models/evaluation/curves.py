"""Coverage against the threshold, drawn from the record of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from models.evaluation.conformers import coverage

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_curves(record: dict[str, Any]) -> Figure:
    """COV-R and COV-P of every row against the threshold, up to twice the largest one in the table."""
    from matplotlib.figure import Figure  # here, because tables need no pictures

    thresholds = [float(t) for t in record["summary"][0]["coverage"]]
    grid = np.linspace(0, 2 * max(thresholds), 201)
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for axis, letter, side in zip(axes, "RP", ("recall", "precision"), strict=True):
        for row in record["rows"]:
            distances = [distances_ang(score[f"{side}_ang"]) for score in row["molecules"]]
            curve = [100 * np.mean([coverage(d, threshold) for d in distances]) for threshold in grid]
            axis.plot(grid, curve, label=row["name"])
        for threshold in thresholds:
            axis.axvline(threshold, color="0.85", linewidth=0.8, zorder=0)
        axis.set(xlabel="threshold, Å", ylabel=f"COV-{letter}, %", xlim=(0, grid[-1]), ylim=(0, 100))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False)
    return figure


def distances_ang(values: Sequence[float | None]) -> np.ndarray:
    """Distances as the record keeps them, Å; null is infinite."""
    return np.array([np.inf if value is None else value for value in values], dtype=np.float64)
