"""Samples beside natural chains, drawn from the record of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from models.evaluation.backbones.histograms import ANGLE_BINS, DISTANCE_ANG, RG_RATIO
from models.evaluation.backbones.rows import NATIVES, SAMPLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _HEIGHT = 16.0, 3.3  # of a bin, inches


def draw_backbone_figure(record: Mapping[str, Any]) -> Figure:
    """For each length bin: phi and psi of samples and natural chains, content, radius of gyration, CA distances."""
    from matplotlib.figure import Figure  # here, because tables need no pictures

    bins = record["bins"]
    figure = Figure(figsize=(_WIDTH, _HEIGHT * len(bins) + 0.4), layout="constrained")
    panels = figure.subplots(len(bins), 5, squeeze=False)
    for line, one in zip(panels, bins, strict=True):
        rows = {row["name"]: row for row in one["rows"]}
        for axis, name in zip(line[:2], (SAMPLES, NATIVES), strict=True):
            _torsions(axis, rows[name])
        line[0].set_title(f"{one['low']} to {one['high']} residues: samples", loc="left", fontsize=9)
        _content(line[2], [rows[NATIVES], rows[SAMPLES]])
        _rg(line[3], one["rows"])
        _distances(line[4], one["rows"])
    handles, labels = panels[0][4].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    return figure


def _torsions(axis: Axes, row: Mapping[str, Any]) -> None:
    """Phi and psi, on a logarithmic scale of density."""
    counts = np.array(row["histograms"]["torsions"], np.float64).reshape(ANGLE_BINS, ANGLE_BINS)
    density = np.log10(1 + 1e4 * counts / max(counts.sum(), 1))
    axis.imshow(density.T, origin="lower", extent=(-180, 180, -180, 180), cmap="viridis", vmin=0, vmax=3)
    ticks = (-180, -90, 0, 90, 180)
    axis.set(xlabel="phi, °", ylabel="psi, °", xticks=ticks, yticks=ticks)
    axis.set_title(row["name"], loc="left", fontsize=9)


def _content(axis: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    """Helix and strand of every chain."""
    for row, colour in zip(rows, ("0.6", "C0"), strict=True):
        axis.plot(row["each"]["helix"], row["each"]["strand"], "o", color=colour, markersize=3, alpha=0.6)
    axis.set(xlabel="share in helix", ylabel="share in strand", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))


def _rg(axis: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    edges = np.append(RG_RATIO[1:-1], RG_RATIO[-2] + 0.1)
    for row, style in list(zip(rows, _styles(rows), strict=True))[:3]:  # noise hardly changes it
        values = np.clip([v for v in row["each"]["rg_ratio"] if v is not None], edges[0], edges[-1] - 1e-9)
        counts = np.histogram(values, edges)[0]
        axis.stairs(counts / max(counts.sum(), 1), edges, **style)
    axis.set(xlabel="Rg over 2.642 L^0.353", ylabel="share of chains")


def _distances(axis: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    for row, style in zip(rows, _styles(rows), strict=True):
        counts = np.array(row["histograms"]["distances"], np.float64)[:-1]
        axis.plot(DISTANCE_ANG[:-2] + 0.5, counts / max(counts.sum(), 1), label=row["name"], **style)
    axis.set(xlabel="CA to CA, Å", ylabel="share of pairs")


def _styles(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Samples stand out, natural chains are grey, controls are thin."""
    known = {SAMPLES: {"color": "C0", "linewidth": 2.0}, NATIVES: {"color": "0.3", "linewidth": 1.5}}
    return [known.get(row["name"], {"color": f"C{place}", "linewidth": 0.8}) for place, row in enumerate(rows)]
