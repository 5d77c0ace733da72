"""Training pairs: features, a noisy structure and the clean one, drawn on the device."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.data.datasets import PackedSet
from models.geometry.alignment import kabsch
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
    only); the prior is rotation invariant, so its marginal stays what it was.

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
    if coupled:
        x_noise = rotate(x_noise, kabsch(x_noise, x_data, batch.token_mask))
    uniform = x_data.new_empty(2, size).uniform_(generator=rng)
    t = draw_times(uniform[0], uniform[1])
    return TrainingPair(batch, interpolate(x_noise, x_data, t), x_data, t)
