"""A denoiser bound to a running batch: the `denoise(x, t)` that samplers take."""

from __future__ import annotations

import torch
from torch import Tensor

from models.networks.preconditioning import PreconditionedDenoiser
from models.structure import PaddedBatch


class ConditionedDenoiser:
    """Features, time of beginning and previous guess of each item, kept beside the sampler's state.

    Calling it guesses the clean structure and remembers the guess as the next call's condition.  Items join and leave
    with `join` and `take`, in step with the sampler's state.
    """

    def __init__(
        self,
        module: PreconditionedDenoiser,
        batch: PaddedBatch,
        guess: Tensor | None = None,
        half: bool = False,
        begin: Tensor | None = None,
    ) -> None:
        self.module = module
        self.batch = batch
        points = batch.tokens.shape[1] * module.config.points_per_token
        self.guess = batch.tokens.new_zeros((len(batch), points, 3), dtype=torch.float32) if guess is None else guess
        self.half = half
        self.begin = batch.tokens.new_zeros(len(batch), dtype=torch.float32) if begin is None else begin

    @torch.inference_mode()
    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """Guess of the clean structure, Å.  [B, N, 3], [B] -> [B, N, 3]"""
        self.guess = self.module(self.batch, x, t, self.guess, self.half, self.begin)
        return self.guess

    def take(self, index: Tensor) -> ConditionedDenoiser:
        """The items at `index`, in that order."""
        return ConditionedDenoiser(self.module, self.batch.take(index), self.guess[index], self.half, self.begin[index])

    def join(self, other: ConditionedDenoiser) -> ConditionedDenoiser:
        """Both, in this order, padded to the larger size."""
        size = max(self.guess.shape[1], other.guess.shape[1])
        widened = [torch.nn.functional.pad(g, (0, 0, 0, size - g.shape[1])) for g in (self.guess, other.guess)]
        begin = torch.cat((self.begin, other.begin))
        return ConditionedDenoiser(self.module, self.batch.join(other.batch), torch.cat(widened), self.half, begin)
