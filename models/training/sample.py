"""Training pairs: features, a noisy structure and the clean one, drawn on the device."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from models.data.packing import PackedSet, visited_rows
from models.geometry.alignment import align, best_overlap, kabsch
from models.geometry.rigid import random_rotation, rotate
from models.samplers.prior import Prior
from models.samplers.process import draw_times, interpolate
from models.structure import PaddedBatch


@dataclass(frozen=True)
class TrainingPair:
    """What one step learns from.  Coordinates in Å.

    Attributes:
        batch: Features.
        x_t: Noisy structure.  [B, N, 3]
        x_data: Clean structure.  [B, N, 3]
        mask: True for real points.  [B, N]
        t: Time.  [B]
        begin: Time at which the path began: 0 for noise, later for a guess.  [B]
        share: Share of the way from `begin` to 1 that is done at `t`.  [B]
    """

    batch: PaddedBatch
    x_t: Tensor
    x_data: Tensor
    mask: Tensor
    t: Tensor
    begin: Tensor
    share: Tensor


@dataclass(frozen=True)
class WarmStarts:
    """How often paths begin at a guess, and when.

    Attributes:
        share: Share of the draws of molecules that have guesses.
        earliest: Smallest starting time.
        latest: Largest starting time.
    """

    share: float = 0.0
    earliest: float = 0.5
    latest: float = 0.95


class ResidentSet:
    """A packed set in device memory, indexed without a copy through the host."""

    def __init__(self, packed: PackedSet, device: torch.device) -> None:
        self.size = packed.tokens.shape[1]
        self.device = device
        self._packed = packed
        self._held = {name: torch.from_numpy(array).to(device) for name, array in packed.arrays().items()}

    def __len__(self) -> int:
        return len(self._held["counts"])

    @property
    def has_guesses(self) -> bool:
        """Whether any molecule has guesses."""
        return len(self._held["guesses"]) > 0

    def take(self, rows: np.ndarray) -> PaddedBatch:
        """Features of some molecules."""
        index = torch.from_numpy(rows).to(self.device)
        quadruples = self._held["quadruples"][index].long()
        count = self._held["counts"][index].long()
        return PaddedBatch(
            tokens=self._held["tokens"][index].long(),
            pairs=self._held["pairs"][index].long(),
            bonded=self._held["bonded"][index],
            quadruples=quadruples.clamp(min=0),
            quadruple_mask=quadruples[:, :, 0] >= 0,
            token_mask=torch.arange(self.size, device=count.device) < count[:, None],
        )

    def automorphisms(self, rows: np.ndarray) -> Tensor | None:
        """Renumberings of some molecules, if the set has them.  [B, A, N]"""
        held = self._held.get("automorphisms")
        return None if held is None else held[torch.from_numpy(rows).to(self.device)]

    def visited_rows(self, least_per_size: int) -> np.ndarray:
        """Molecules that one pass visits; see `models.data.packing.visited_rows`.  [V]"""
        return visited_rows(self._packed, least_per_size)

    def draw(self, rows: np.ndarray, choice: Tensor, rng: torch.Generator) -> tuple[PaddedBatch, Tensor]:
        """Features and one conformer of each molecule; see `TrainingSet`."""
        return self.take(rows), self.draw_conformers(rows, choice)

    def draw_conformers(self, rows: np.ndarray, uniform: Tensor) -> Tensor:
        """One conformer of each molecule, chosen by a uniform number.  [B], [B] -> [B, N, 3]"""
        return self._held["coordinates"][self._choose("conformers", rows, uniform)]

    def draw_guesses(self, rows: np.ndarray, uniform: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One guess of each molecule, chosen by a uniform number; molecules without any get one of another.

        Returns:
            The guess, Å.  [B, N, 3]
            The conformer that is nearest to it, Å.  [B, N, 3]
            Whether the molecule has guesses.  [B]
        """
        index = self._choose("guesses_of", rows, uniform).clamp(max=len(self._held["guesses"]) - 1)
        known = self._held["guesses_of"][torch.from_numpy(rows).to(self.device), 1] > 0
        return self._held["guesses"][index], self._held["coordinates"][self._held["targets"][index].long()], known

    def _choose(self, kind: str, rows: np.ndarray, uniform: Tensor) -> Tensor:
        first, number = self._held[kind][torch.from_numpy(rows).to(self.device)].long().unbind(1)
        return first + torch.minimum((uniform * number).long(), (number - 1).clamp(min=0))


class TrainingSet(Protocol):
    """Structures of one size bucket: conformers of molecules, or chains of proteins."""

    size: int
    device: torch.device

    def __len__(self) -> int:
        """Molecules, or clusters of chains."""

    def visited_rows(self, least_per_size: int) -> np.ndarray:
        """Rows that one pass over the data comes by; some may come more than once.  [V]"""

    def draw(self, rows: np.ndarray, choice: Tensor, rng: torch.Generator) -> tuple[PaddedBatch, Tensor]:
        """Features and centred coordinates, one structure for each row, chosen by a uniform number."""


def draw_pair(
    data: TrainingSet,
    rows: np.ndarray,
    prior: Prior,
    coupled: bool,
    rng: torch.Generator,
    warm: WarmStarts = WarmStarts(),
) -> TrainingPair:
    """Turn clean conformers into training pairs.

    Each conformer is turned at random.  With `coupled` the prior sample is then turned onto it (Kabsch, rotations
    only); the prior is rotation invariant, so its marginal stays what it was.  Where the set has automorphisms, the
    prior sample is renumbered and turned by the pair of them that brings it closest; see `renumber`.

    A warm path begins at the point between a prior sample and a guess at time `begin`, and leads from there straight
    to the conformer that is nearest to the guess.

    Args:
        data: One bucket.
        rows: Which molecules.  [B]
        prior: Start of the path.
        coupled: Align the prior sample.
        rng: On the device of `data`.
        warm: How often paths begin at a guess.

    Returns:
        Features, x_t, x_data and times.
    """
    size = len(rows)
    choice, other, times, flat = torch.empty(4, size, device=data.device).uniform_(generator=rng)
    batch, x_data = data.draw(rows, choice, rng)
    mask = batch.point_mask(x_data.shape[1] // batch.tokens.shape[1])
    x_guess, is_warm = x_data, torch.zeros(size, dtype=torch.bool, device=data.device)
    if warm.share > 0 and isinstance(data, ResidentSet) and data.has_guesses:
        guess, target, known = data.draw_guesses(rows, choice)
        is_warm = known & (other < warm.share)
        x_data = torch.where(is_warm[:, None, None], target, x_data)
        x_guess = torch.where(is_warm[:, None, None], align(guess, x_data, mask), x_data)
    turn = random_rotation(x_data.new_empty(size, 4).normal_(generator=rng))
    x_data, x_guess = rotate(x_data, turn), rotate(x_guess, turn)
    x_noise = prior(torch.empty_like(x_data).normal_(generator=rng), mask, batch.bonded)
    renumberings = data.automorphisms(rows) if isinstance(data, ResidentSet) else None
    if coupled and renumberings is not None:
        x_noise = renumber(x_noise, x_guess, renumberings)
    if coupled:
        x_noise = rotate(x_noise, kabsch(x_noise, x_guess, mask))
    begin = torch.where(is_warm, warm.earliest + (warm.latest - warm.earliest) * flat, 0.0)
    share = torch.where(is_warm, times, draw_times(times, flat))
    x_begin = interpolate(x_noise, x_guess, begin)
    x_t, t = interpolate(x_begin, x_data, share), begin + (1 - begin) * share
    return TrainingPair(batch, x_t, x_data, mask, t, begin, share)


def renumber(x_noise: Tensor, x_data: Tensor, automorphisms: Tensor) -> Tensor:
    """Renumber each prior sample so that, once turned as well, it lies closest to its target.

    Minimises |x_data - R P x_noise|^2 over the given P and all rotations R; the distance never grows, because the
    identity is among them.

    This is a legal coupling, for any choice of P and any subset of automorphisms.  To renumber a whole pair changes
    nothing for a network that does not know the order of the atoms: its features stay what they are and its guess is
    renumbered too.  So each pair stands for all of its renumberings by a random Q, and the noise of those, Q P x_noise,
    has the prior's law, since Q P is as random as Q and the prior is invariant.

    Args:
        x_noise: Centred, zero where padded, Å.  [B, N, 3]
        x_data: Likewise.  [B, N, 3]
        automorphisms: Renumberings, the identity among them.  [B, A, N]

    Returns:
        Renumbered, not yet turned, Å.  [B, N, 3]
    """
    index = automorphisms.long()[..., None].expand(-1, -1, -1, 3)
    choices = x_noise[:, None].expand(-1, index.shape[1], -1, -1).gather(2, index)
    overlap = best_overlap(choices.mT @ x_data[:, None])
    best = overlap.argmax(1)[:, None, None, None].expand(-1, 1, *x_noise.shape[1:])
    return choices.gather(1, best).squeeze(1)
