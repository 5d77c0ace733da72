"""Features of the residues of a protein chain, made on the device they are used on.

A backbone has no atoms to tell apart, only places in the chain, so its features are a function of its length and of
what is asked for: secondary structure, as fractions or residue by residue, and fold class.  Code 0 means unknown, so
that the same network samples with and without conditions.

Axes: B chains, N padded residues, F feature columns.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from models.data.peptides import FOLD_CLASSES, SECONDARY
from models.structure import PaddedBatch

POINTS_PER_RESIDUE = 4  # N, CA, C, O in this order
_END, _LENGTH_BINS, _LENGTH_STEP, _FRACTION_BINS = 16, 33, 8, 11

# Columns of `PaddedBatch.tokens`: residues to the N end and to the C end, length, helix, strand, fold class, secondary.
TOKEN_SIZES = (
    _END + 1,
    _END + 1,
    _LENGTH_BINS + 1,
    _FRACTION_BINS + 1,
    _FRACTION_BINS + 1,
    len(FOLD_CLASSES) + 1,
    len(SECONDARY) + 1,
)
_ASKED = 3  # columns from here on are what is asked
_FAR = 32
PAIR_SIZES = (2 * _FAR + 1,)  # difference of the places in the chain, from -32 or less to 32 or more


@dataclass(frozen=True)
class Conditions:
    """What is asked of B chains; NaN and 0 mean that nothing is.

    Attributes:
        helix: Share of residues in helices, or NaN.  [B]
        strand: Share of residues in strands, or NaN.  [B]
        fold: Place in `FOLD_CLASSES` plus one, or 0.  [B] int64
        secondary: Place in `SECONDARY` plus one, or 0, for each residue.  [B, N] int64
    """

    helix: Tensor
    strand: Tensor
    fold: Tensor
    secondary: Tensor

    def __len__(self) -> int:
        return len(self.fold)

    def known_where(self, helix: Tensor, strand: Tensor, fold: Tensor, secondary: Tensor) -> Conditions:
        """The same, with each kind known only for the chains marked True.  [B] bool each"""
        nothing = torch.full_like(self.helix, torch.nan)
        return Conditions(
            self.helix.where(helix, nothing),
            self.strand.where(strand, nothing),
            self.fold * fold,
            self.secondary * secondary[:, None],
        )

    def to(self, device: torch.device | str) -> Conditions:
        """Copy on another device."""
        return replace(self, **{f.name: getattr(self, f.name).to(device) for f in fields(self)})


def no_conditions(count: int, size: int) -> Conditions:
    """Conditions of chains of which nothing is asked."""
    nothing = torch.full((count,), torch.nan)
    return Conditions(nothing, nothing, torch.zeros(count).long(), torch.zeros(count, size).long())


def build_residues(
    lengths: Tensor, size: int, conditions: Conditions, before: Tensor | None = None, whole: Tensor | None = None
) -> PaddedBatch:
    """Features of chains, or of stretches of them.

    Args:
        lengths: Residues of each.  [B] int64
        size: Padded residues, N.
        conditions: What is asked of them, on the same device.
        before: Residues of the chain before each stretch; none by default.  [B] int64
        whole: Residues of the whole chain, its own by default.  [B] int64

    Returns:
        The batch; neighbours in the chain are bonded.
    """
    place = torch.arange(size, device=lengths.device)
    mask = place < lengths[:, None]
    whole = lengths if whole is None else whole
    of_chain = place.expand_as(mask) if before is None else before[:, None] + place
    token = [
        of_chain.clamp(max=_END),
        (whole[:, None] - 1 - of_chain).clamp(0, _END),
        *(
            column[:, None].expand_as(mask)
            for column in (
                1 + (whole // _LENGTH_STEP).clamp(max=_LENGTH_BINS - 1),
                _fraction_code(conditions.helix),
                _fraction_code(conditions.strand),
                conditions.fold,
            )
        ),
        conditions.secondary,
    ]
    tokens = torch.stack(token, dim=-1) * mask[..., None]
    apart = place[None, :] - place[:, None]
    both = mask[:, :, None] & mask[:, None]
    none = lengths.new_zeros(len(lengths), 1, 4)
    return PaddedBatch(
        tokens=tokens,
        pairs=((apart.clamp(-_FAR, _FAR) + _FAR) * both),
        bonded=(apart.abs() == 1) & both,
        quadruples=none,
        quadruple_mask=none[..., 0].bool(),
        token_mask=mask,
    )


def without_conditions(batch: PaddedBatch) -> PaddedBatch:
    """The same chains, with nothing asked of them."""
    tokens = batch.tokens.clone()
    tokens[..., _ASKED:] = 0
    return replace(batch, tokens=tokens)


def _fraction_code(fraction: Tensor) -> Tensor:
    """0 for NaN, then eleven steps from 0 to 1.  [B] -> [B] int64"""
    code = 1 + (fraction.nan_to_num() * (_FRACTION_BINS - 1)).round().long().clamp(0, _FRACTION_BINS - 1)
    return code.where(~fraction.isnan(), 0)
