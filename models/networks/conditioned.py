"""A denoiser bound to a running batch: the `denoise(x, t)` that samplers take."""

from __future__ import annotations

import torch
from torch import Tensor

from models.networks.held import Held, widen
from models.networks.preconditioning import PreconditionedDenoiser
from models.structure import PaddedBatch


class ConditionedDenoiser:
    """Features, time of beginning, held points and previous guess of each item, kept beside the sampler's state.

    Calling it guesses the clean structure and remembers the guess as the next call's condition.  Items join and leave
    with `join` and `take`, in step with the sampler's state.

    With `unasked`, features without what is asked of the items, guesses are D_unasked + guidance (D - D_unasked): what
    is asked counts more than the network has learnt that it does.

    Source:
        Ho, Salimans 2022, Classifier-free diffusion guidance, equation 6 with guidance = 1 + w.
    """

    def __init__(
        self,
        module: PreconditionedDenoiser,
        batch: PaddedBatch,
        guess: Tensor | None = None,
        half: bool = False,
        begin: Tensor | None = None,
        held: Held | None = None,
        unasked: PaddedBatch | None = None,
        guidance: float = 1.0,
    ) -> None:
        self.module = module
        self.batch = batch
        points = batch.tokens.shape[1] * module.config.points_per_token
        self.guess = batch.tokens.new_zeros((len(batch), points, 3), dtype=torch.float32) if guess is None else guess
        self.half = half
        self.begin = batch.tokens.new_zeros(len(batch), dtype=torch.float32) if begin is None else begin
        self.held = held
        self.unasked, self.guidance = unasked, guidance

    @torch.inference_mode()
    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """Guess of the clean structure, Å.  [B, N, 3], [B] -> [B, N, 3]"""
        guess = self.module(self.batch, x, t, self.guess, self.half, self.begin)
        if self.unasked is not None:
            freely = self.module(self.unasked, x, t, self.guess, self.half, self.begin)
            guess = torch.lerp(freely, guess, self.guidance)
        self.guess = guess
        if self.held is not None:
            there = self.batch.point_mask(self.module.config.points_per_token)
            self.guess = self.held.put_into(self.guess) * there.unsqueeze(-1)
        return self.guess

    def take(self, index: Tensor) -> ConditionedDenoiser:
        """The items at `index`, in that order."""
        held = None if self.held is None else self.held.take(index)
        unasked = None if self.unasked is None else self.unasked.take(index)
        batch, guess, begin = self.batch.take(index), self.guess[index], self.begin[index]
        return ConditionedDenoiser(self.module, batch, guess, self.half, begin, held, unasked, self.guidance)

    def join(self, other: ConditionedDenoiser) -> ConditionedDenoiser:
        """Both, in this order, padded to the larger size; they must agree in guidance."""
        size = max(self.guess.shape[1], other.guess.shape[1])
        widened = [widen(guess, size) for guess in (self.guess, other.guess)]
        begin = torch.cat((self.begin, other.begin))
        held = None
        if self.held is not None or other.held is not None:
            parts = [part.held or Held.nothing(part.guess) for part in (self, other)]
            held = parts[0].join(parts[1])
        unasked = None
        if self.unasked is not None and other.unasked is not None:
            unasked = self.unasked.join(other.unasked)
        batch, guess = self.batch.join(other.batch), torch.cat(widened)
        return ConditionedDenoiser(self.module, batch, guess, self.half, begin, held, unasked, self.guidance)
