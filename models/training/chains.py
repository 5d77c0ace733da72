"""Protein chains in device memory: features and coordinates of a batch, made where they are used.

One pass comes by each cluster of similar sequences once, whatever its size; which member and which stretch of it is
drawn anew each time.  Axes: B samples, N padded residues.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from models.data.backbones import TRAIN, BackboneSet
from models.data.peptides import SECONDARY
from models.data.residues import POINTS_PER_RESIDUE, Conditions, build_residues
from models.errors import DataError
from models.structure import PaddedBatch

_KNOWN_SHARE = (0.3, 0.3, 0.3, 0.1)  # how often helix, strand, fold class and secondary structure are told


def choose_chains(chains: BackboneSet, most: int, core_only: bool, crop: bool) -> tuple[BackboneSet, dict[str, int]]:
    """Training chains; the rest of the set never gets here.

    Args:
        chains: The whole set.
        most: Residues of the longest.
        core_only: Leave out chains that are not compact or hardly helix and strand.
        crop: Keep longer chains, to be cut.

    Returns:
        The chains.
        How many were kept, and how many left out for which reason.

    Raises:
        DataError: No chain is left.
    """
    train, long = chains.split == TRAIN, chains.lengths > most
    kept = train & (chains.core | (not core_only)) & (~long | crop)
    if not kept.any():
        raise DataError(f"no chain of at most {most} residues is left to learn from")
    counts = {
        "kept": int(kept.sum()),
        "test_or_validation": int((~train).sum()),
        "too_long": int((train & long).sum()) * (not crop),
    }
    return chains.select(kept), {**counts, "not_core": len(chains) - sum(counts.values())}


def bucket_chains(chains: BackboneSet, edges: Sequence[int]) -> list[tuple[BackboneSet, int]]:
    """Chains by length; those that are longer than the last edge are in the last bucket, to be cut.

    Args:
        chains: What is learnt from.
        edges: Most residues of each bucket, ascending.

    Returns:
        Each bucket that has members, and its size.
    """
    buckets, low = [], 0
    for edge in edges:
        inside = (chains.lengths > low) & ((chains.lengths <= edge) | (edge == edges[-1]))
        if inside.any():
            buckets.append((chains.select(inside), edge))
        low = edge
    return buckets


class ResidentChains:
    """Chains of one size bucket.

    Args:
        chains: The set; chains longer than `size` are cut to stretches of `size` residues.
        size: Padded residues, N.
        device: Where to keep them.
    """

    def __init__(self, chains: BackboneSet, size: int, device: torch.device) -> None:
        self.size = size
        self.device = device
        order = np.argsort(chains.cluster, kind="stable")
        _, first, number = np.unique(chains.cluster[order], return_index=True, return_counts=True)

        def hold(array: np.ndarray, kind: type = np.int64) -> Tensor:
            return torch.from_numpy(array.astype(kind)).to(device)

        self._first, self._number = hold(first), hold(number)
        self._begin, self._length = hold(chains.offsets[:-1][order]), hold(chains.lengths[order])
        self._fold = hold(chains.fold[order])
        self._secondary = hold(chains.secondary + 1)
        self._coordinates = hold(chains.coordinates, np.float32)

    def __len__(self) -> int:
        return len(self._first)

    def visited_rows(self, least_per_size: int) -> np.ndarray:
        """Every cluster once.  [V]"""
        return np.arange(len(self))

    def draw(self, rows: np.ndarray, choice: Tensor, rng: torch.Generator) -> tuple[PaddedBatch, Tensor]:
        """One member of each cluster, told or not told of its conditions.

        Args:
            rows: Which clusters.  [B]
            choice: Uniform numbers that choose the member.  [B]
            rng: Chooses the stretch and what is told.

        Returns:
            Features.
            Centred coordinates, Å.  [B, N*4, 3]
        """
        cluster = torch.from_numpy(rows).to(self.device)
        spots = torch.empty(1 + len(_KNOWN_SHARE), len(rows), device=self.device).uniform_(generator=rng)
        number = self._number[cluster]
        chain = self._first[cluster] + torch.minimum((choice * number).long(), number - 1)
        whole = self._length[chain]
        length = whole.clamp(max=self.size)
        before = torch.minimum((spots[0] * (whole - length + 1)).long(), whole - length)
        place = torch.arange(self.size, device=self.device)
        mask = place < length[:, None]
        index = torch.where(mask, (self._begin[chain] + before)[:, None] + place, 0)
        secondary = self._secondary[index] * mask
        # of the stretch: what the network sees is what it is told of
        helix, strand = ((secondary == SECONDARY.index(letter) + 1).sum(1) / length for letter in "HE")
        asked = Conditions(helix, strand, self._fold[chain], secondary).known_where(
            *(spot < share for spot, share in zip(spots[1:], _KNOWN_SHARE, strict=True))
        )
        weight = mask[..., None, None].float()
        x = self._coordinates[index] * weight
        x = (x - x.sum((1, 2), keepdim=True) / (POINTS_PER_RESIDUE * length[:, None, None, None])) * weight
        return build_residues(length, self.size, asked, before, whole), x.flatten(1, 2)
