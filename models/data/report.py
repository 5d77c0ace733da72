"""Sampled backbones to the record of their quality."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from models.backbone import BackboneReport
from models.data.peptides import SECONDARY
from models.data.quality import BackboneQuality, measure_backbones
from models.data.secondary import annotate_secondary

_MEASURED = tuple(f.name for f in fields(BackboneQuality) if f.name != "faults")


def report_backbones(x: np.ndarray) -> list[BackboneReport]:
    """Measure backbones of one length.

    Args:
        x: N, CA, C, O, Å.  [S, L, 4, 3] with L of 5 or more

    Returns:
        One report for each; no figure depends on the others.
    """
    quality = measure_backbones(x)
    columns = {name: getattr(quality, name).tolist() for name in _MEASURED}
    return [
        BackboneReport(
            **{name: column[k] for name, column in columns.items()},
            **_shares(x[k]),
            passed=fault is None,
            fault=fault,
        )
        for k, fault in enumerate(quality.faults)
    ]


def _shares(x: np.ndarray) -> dict[str, Any]:
    """Shares of helix, strand and coil of one backbone; all 0 if it is not finite.  [L, 4, 3]"""
    codes = annotate_secondary(x[:, 1]) if np.isfinite(x).all() else np.zeros(0, np.uint8)
    names = {"helix": "H", "strand": "E", "coil": "C"}
    return {name: float((codes == SECONDARY.index(letter)).sum() / len(x)) for name, letter in names.items()}
