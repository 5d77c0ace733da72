"""Ensembles of backbones to bytes and back without loss, for keeping them until somebody wants a file."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from models.backbone import Backbone, BackboneEnsemble, BackboneReport


def to_packed_backbones(ensembles: Sequence[BackboneEnsemble]) -> bytes:
    """NPZ without pickled objects: a JSON head, and of each ensemble the coordinates.  [S, L, 4, 3] float32"""
    arrays = {
        str(k): np.stack([sample.coordinates for sample in ensemble.samples])
        for k, ensemble in enumerate(ensembles)
        if ensemble.samples
    }
    head = json.dumps([_head(ensemble) for ensemble in ensembles])
    buffer = io.BytesIO()
    np.savez_compressed(buffer, head=np.frombuffer(head.encode(), np.uint8), **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def from_packed_backbones(packed: bytes) -> list[BackboneEnsemble]:
    """The ensembles, equal to those that were packed."""
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        heads = json.loads(arrays["head"].tobytes())
        return [_ensemble(head, arrays[str(k)] if head["samples"] else ()) for k, head in enumerate(heads)]


def _head(ensemble: BackboneEnsemble) -> dict[str, Any]:
    samples = [
        {
            "seed": sample.seed,
            "quality": asdict(sample.quality),
            "attempts": sample.attempts,
            "motif_rmsd_ang": sample.motif_rmsd_ang,
        }
        for sample in ensemble.samples
    ]
    return {**asdict(replace(ensemble, samples=())), "samples": samples}


def _ensemble(head: dict[str, Any], coordinates: Sequence[np.ndarray] | np.ndarray) -> BackboneEnsemble:
    samples = tuple(
        Backbone(coordinates=x, **{**values, "quality": BackboneReport(**values["quality"])})
        for values, x in zip(head["samples"], coordinates, strict=True)
    )
    return BackboneEnsemble(**{**head, "samples": samples})
