"""Training pairs: features, a noisy structure and the clean one, drawn on the device."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.data.datasets import PackedSet
from models.geometry.alignment import best_overlap, kabsch
from models.geometry.rigid import random_rotation, rotate
from models.samplers.prior import Prior
from models.samplers.process import draw_times, interpolate
from models.structure import PaddedBatch


@dataclass(frozen=True)
class TrainingPair:
    """What one step learns from.  Coordinates in Å.  [B, N, 3]; times [B]"""

    batch: PaddedBatch
    x_t: Tensor
    x_data: Tensor
    t: Tensor


class ResidentSet:
    """A packed set in device memory, indexed without a copy through the host."""

    def __init__(self, packed: PackedSet, device: torch.device) -> None:
        self.size = packed.tokens.shape[1]
        self.tokens, self.pairs, self.bonded, self.quadruples, self.counts, self.coordinates = (
            torch.from_numpy(array).to(device)
            for array in (
                packed.tokens, packed.pairs, packed.bonded, packed.quadruples, packed.counts, packed.coordinates,
            )
        )  # fmt: skip
        renumberings = packed.automorphisms
        self.automorphisms = None if renumberings is None else torch.from_numpy(renumberings).to(device)

    def __len__(self) -> int:
        return len(self.counts)

    def take(self, rows: np.ndarray) -> tuple[PaddedBatch, Tensor]:
        """Features and clean coordinates of some conformers."""
        index = torch.from_numpy(rows).to(self.tokens.device)
        quadruples = self.quadruples[index].long()
        count = self.counts[index].long()
        batch = PaddedBatch(
            tokens=self.tokens[index].long(),
            pairs=self.pairs[index].long(),
            bonded=self.bonded[index],
            quadruples=quadruples.clamp(min=0),
            quadruple_mask=quadruples[:, :, 0] >= 0,
            token_mask=torch.arange(self.size, device=count.device) < count[:, None],
        )
        return batch, self.coordinates[index]


def draw_pair(data: ResidentSet, rows: np.ndarray, prior: Prior, coupled: bool, rng: torch.Generator) -> TrainingPair:
    """Turn clean conformers into training pairs.

    Each conformer is turned at random.  With `coupled` the prior sample is then turned onto it (Kabsch, rotations
    only); the prior is rotation invariant, so its marginal stays what it was.  Where the set has automorphisms, the
    prior sample is renumbered and turned by the pair of them that brings it closest; see `renumber`.

    Args:
        data: One bucket.
        rows: Which conformers.  [B]
        prior: Start of the path.
        coupled: Align the prior sample.
        rng: On the device of `data`.

    Returns:
        Features, x_t, x_data and t.
    """
    batch, x_data = data.take(rows)
    size = len(rows)
    x_data = rotate(x_data, random_rotation(x_data.new_empty(size, 4).normal_(generator=rng)))
    x_noise = prior(torch.empty_like(x_data).normal_(generator=rng), batch.token_mask, batch.bonded)
    if coupled and data.automorphisms is not None:
        x_noise = renumber(x_noise, x_data, data.automorphisms[torch.from_numpy(rows).to(x_data.device)])
    if coupled:
        x_noise = rotate(x_noise, kabsch(x_noise, x_data, batch.token_mask))
    uniform = x_data.new_empty(2, size).uniform_(generator=rng)
    t = draw_times(uniform[0], uniform[1])
    return TrainingPair(batch, interpolate(x_noise, x_data, t), x_data, t)


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
