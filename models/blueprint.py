"""What a backbone that is to be sampled shall be like.

Axes: L residues, points N, CA, C, O.  Coordinates are in angstrom.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.structure import Features


@dataclass(frozen=True)
class Blueprint:
    """One backbone to sample, checked; made by `models.data.blueprints.build_blueprint`.

    Attributes:
        id: The caller's name for it.
        length: Residues, L.
        features: Input of the network, with what is asked of the chain.
        start: Structure to begin at, centred, Å; None begins at noise.  [L, 4, 3] float32
        fixed: Residues that keep the shape they have in `motif`; None if none do.  [L] bool
        motif: The structure that was given, Å, which samples are laid onto: by what is fixed, or else by all of it.
            [L, 4, 3] float32
        keep_failed: Whether structures that fail the checks are returned all the same, marked as such.
        idealise: Whether bonds and angles are brought to their ideal values before the checks.
    """

    id: str
    length: int
    features: Features
    start: np.ndarray | None = None
    fixed: np.ndarray | None = None
    motif: np.ndarray | None = None
    keep_failed: bool = False
    idealise: bool = True
