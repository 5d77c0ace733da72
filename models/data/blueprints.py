"""Lengths and wishes to blueprints: what cannot be is refused, in words.

Axes: L residues, points N, CA, C, O.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from models.blueprint import Blueprint
from models.data.residues import FOLD_CLASSES, SECONDARY, Conditions, build_residues
from models.errors import BackboneError
from models.structure import Features

LEAST_MOTIF = 3  # residues: fewer do not say how they lie to each other


@dataclass(frozen=True)
class Wish:
    """What is asked of a chain beside its length; None asks nothing.

    Attributes:
        helix: Share of residues in helices, 0 to 1.
        strand: Share of residues in strands, 0 to 1.
        fold: SCOPe class, a letter of `FOLD_CLASSES`.
        secondary: One letter of `SECONDARY` for each residue, `-` where nothing is asked.
    """

    helix: float | None = None
    strand: float | None = None
    fold: str | None = None
    secondary: str | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing is asked."""
        return replace(self, secondary=(self.secondary or "").strip("-") or None) == Wish()


def build_blueprint(
    id: str,
    length: int,
    wish: Wish = Wish(),
    start: np.ndarray | None = None,
    fixed: np.ndarray | None = None,
    motif: np.ndarray | None = None,
    keep_failed: bool = False,
    idealise: bool = True,
) -> Blueprint:
    """Check what is asked and make the input of the network of it.

    Args:
        id: The caller's name for it.
        length: Residues, L.
        wish: What is asked of the chain.
        start: Structure to begin at, Å.  [L, 4, 3]
        fixed: Residues that keep their shape in `motif`.  [L] bool
        motif: Their coordinates, and those of the structure around them, which samples are laid onto, Å.  [L, 4, 3]
        keep_failed: See `Blueprint`.
        idealise: Likewise.

    Raises:
        BackboneError: A wish is out of its range or contradicts another, or a structure has not L residues.
    """
    for name in ("helix", "strand"):
        share = getattr(wish, name)
        if share is not None and not 0 <= share <= 1:
            raise BackboneError(f"{name} is {share}; allowed: 0 to 1, the share of residues")
    if (wish.helix or 0) + (wish.strand or 0) > 1:
        raise BackboneError(f"helix {wish.helix} and strand {wish.strand} are more than 1 together; lower one of them")
    if wish.fold is not None and (len(wish.fold) != 1 or wish.fold not in FOLD_CLASSES):
        raise BackboneError(f"fold is {wish.fold!r}; allowed: {', '.join(FOLD_CLASSES)}, the classes of SCOPe")
    if wish.secondary is not None:
        strange = sorted(set(wish.secondary) - set(SECONDARY + "-"))
        if strange:
            raise BackboneError(f"secondary has the letters {', '.join(strange)}; allowed: H, E, C, and - for any")
        if len(wish.secondary) != length:
            raise BackboneError(f"secondary has {len(wish.secondary)} letters for {length} residues; give one for each")
    for name, array in (("start", start), ("motif", motif)):
        if array is not None and len(array) != length:
            raise BackboneError(f"the structure of {name} has {len(array)} residues, the length is {length}")
    if fixed is not None and not LEAST_MOTIF <= int(fixed.sum()) < length:
        raise BackboneError(
            f"{int(fixed.sum())} of {length} residues are fixed; allowed: {LEAST_MOTIF} or more, but not all"
        )
    if start is not None:
        start = (start - start.mean((0, 1))).astype(np.float32)
    return Blueprint(id, length, residue_features(length, wish), start, fixed, motif, keep_failed, idealise)


def name_lengths(lengths: Sequence[int]) -> list[str]:
    """Names for backbones whose caller gives none: length and place, from 1."""
    return [f"{length}-{place}" for place, length in enumerate(lengths, start=1)]


def residue_features(length: int, wish: Wish = Wish()) -> Features:
    """Input of the network for one chain."""

    def share(value: float | None) -> torch.Tensor:
        return torch.tensor([float("nan") if value is None else value])

    letters = wish.secondary or "-" * length
    secondary = torch.tensor([[SECONDARY.find(letter) + 1 for letter in letters]])
    fold = torch.tensor([FOLD_CLASSES.index(wish.fold) + 1 if wish.fold else 0])
    conditions = Conditions(share(wish.helix), share(wish.strand), fold, secondary)
    batch = build_residues(torch.tensor([length]), length, conditions)
    return Features(
        batch.tokens[0].numpy().astype(np.uint8),
        batch.pairs[0].numpy().astype(np.int16),
        batch.bonded[0].numpy(),
        np.zeros((0, 4), np.int16),
    )
