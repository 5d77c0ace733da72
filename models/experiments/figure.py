"""Held-out error against training time, drawn from the record of the experiment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_errors(runs: Sequence[dict[str, Any]]) -> Figure:
    """Weighted horizontal error of every arm after each turn, one thin line for each seed."""
    from matplotlib.figure import Figure  # here, because tables need no pictures

    names = list(dict.fromkeys(run["arm"] for run in runs))
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    axes = figure.subplots(1, 2)
    for axis, key, title in zip(axes, ("own", "free"), ("own pairs", "uncoupled pairs"), strict=True):
        for run in runs:
            seconds, errors = zip(*((point["elapsed_s"], point[key]) for point in run["curve"]), strict=True)
            colour = f"C{names.index(run['arm'])}"
            axis.plot(
                seconds,
                errors,
                colour,
                marker=".",
                linewidth=1,
                label=run["arm"] if run["seed"] == runs[0]["seed"] else None,
            )
        axis.set(xlabel="training time, s", ylabel="weighted horizontal error, Å²", yscale="log", title=title)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    return figure
