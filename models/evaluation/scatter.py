"""Quality against the time of a conformer, drawn from the record of the benchmark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.evaluation.page import summarise_set

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKERS = "osD^vPX"
_PANELS = (
    ("R", "recall", "coverage"),
    ("P", "precision", "coverage"),
    ("R", "recall", "matching_ang"),
    ("P", "precision", "matching_ang"),
)


def draw_scatter(record: dict[str, Any]) -> Figure:
    """COV and AMR of every row with the interval of the mean, one line of panels for each set.

    Time is that of the processor, all threads together, or on a GPU wall time.
    """
    from matplotlib.figure import Figure  # here, because tables need no pictures
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    on_cpu = record["machine"]["device"] == "cpu"
    key = "core_seconds_per_conformer" if on_cpu else "seconds_per_conformer"
    sets = record["sets"]
    starts = list(dict.fromkeys(_start(row) for one in sets for row in one["rows"]))
    figure = Figure(figsize=(13, 0.8 + 3.4 * len(sets)), layout="constrained")
    panels = figure.subplots(len(sets), 4, squeeze=False)
    for line, one in zip(panels, sets, strict=True):
        groups = _groups([row for row in summarise_set(one) if row[key]])
        threshold = f"{one['thresholds_ang'][0]:g}"
        for axis, (letter, side, kind) in zip(line, _PANELS, strict=True):
            for start, rows in groups.items():
                points = [(row, found) for row in rows if (found := _summary(row, side, kind, threshold))]
                _draw(axis, points, key, start, starts.index(start))
            label = f"COV-{letter} < {threshold} Å, %" if kind == "coverage" else f"AMR-{letter}, Å"
            axis.set(xscale="log", ylabel=label, xlabel=f"{'core-' if on_cpu else ''}seconds per conformer")
            axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axis.xaxis.set_minor_formatter(NullFormatter())
        line[0].set_title(one["title"], loc="left", fontsize=9)
    entries: dict[str, Artist] = {}
    for axis in panels[:, 0]:
        entries |= dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    figure.legend(list(entries.values()), list(entries), loc="outside upper center", ncols=4, frameon=False)
    return figure


def _start(row: dict[str, Any]) -> str:
    """What rows that differ in their steps alone have in common."""
    return row["name"].split(",")[0]


def _groups(summaries: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Rows of one start together, by steps."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(summaries, key=lambda row: (row["options"] or {}).get("steps", 0)):
        groups.setdefault(_start(row), []).append(row)
    return groups


def _summary(row: dict[str, Any], side: str, kind: str, threshold: str) -> dict[str, float] | None:
    """Mean and interval as they are drawn."""
    found = row["coverage"][threshold][side] if kind == "coverage" else row["matching_ang"][side]
    factor = 100 if kind == "coverage" else 1
    return None if found is None else {name: factor * found[name] for name in ("mean", "low", "high")}


def _draw(axis: Axes, points: list[tuple[dict[str, Any], dict[str, float]]], key: str, label: str, place: int) -> None:
    """One line of points with their intervals, and the steps beside each."""
    if not points:
        return
    seconds, means = [row[key] for row, _ in points], [found["mean"] for _, found in points]
    spread = [[max(0.0, found["mean"] - found["low"]), max(0.0, found["high"] - found["mean"])] for _, found in points]
    colour, style = f"C{place}", f"{_MARKERS[place % len(_MARKERS)]}-"
    bars = list(zip(*spread, strict=True))
    axis.errorbar(seconds, means, bars, fmt=style, color=colour, markersize=5, elinewidth=0.7, capsize=2, label=label)
    for (row, _), x, y in zip(points, seconds, means, strict=True):
        if row["options"]:
            steps = str(row["options"]["steps"])
            axis.annotate(steps, (x, y), textcoords="offset points", xytext=(4, 4), fontsize=8, color=colour)
