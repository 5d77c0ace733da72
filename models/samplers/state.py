"""Sampler state with a time, a step count and a noise source per item: items join and leave a running batch."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from models.geometry.alignment import kabsch
from models.geometry.quotient import centre
from models.geometry.rigid import rotate
from models.samplers.noise import SeededNoise
from models.samplers.prior import Prior
from models.samplers.process import interpolate
from models.samplers.schedule import Schedule
from models.samplers.steps import Denoise, Step


@dataclass(frozen=True)
class SamplerState:
    """B paths on their way.

    Attributes:
        x: Coordinates, Å.  [B, N, 3]
        mask: True for real points.  [B, N]
        done: Steps done by each.  [B] int64
        total: Steps of each.  [B] int64
        begin: Time at which each began: 0 at the prior, later at a guess.  [B]
        noise: Noise source of each.
    """

    x: Tensor
    mask: Tensor
    done: Tensor
    total: Tensor
    begin: Tensor
    noise: SeededNoise

    def __len__(self) -> int:
        return len(self.noise)

    @property
    def finished(self) -> Tensor:
        """True for items that reached the data.  [B]"""
        return self.done >= self.total

    def take(self, index: Tensor) -> SamplerState:
        """The items at `index`, in that order."""
        parts = (self.x[index], self.mask[index], self.done[index], self.total[index], self.begin[index])
        return SamplerState(*parts, self.noise.take(index.tolist()))

    def join(self, other: SamplerState) -> SamplerState:
        """Both, in this order, padded to the larger size."""
        size = max(self.x.shape[1], other.x.shape[1])
        return SamplerState(
            torch.cat((_widen(self.x, size), _widen(other.x, size))),
            torch.cat((_widen(self.mask, size), _widen(other.mask, size))),
            torch.cat((self.done, other.done)),
            torch.cat((self.total, other.total)),
            torch.cat((self.begin, other.begin)),
            self.noise.join(other.noise),
        )


def start(
    prior: Prior,
    noise: SeededNoise,
    mask: Tensor,
    bonded: Tensor,
    steps: int | Tensor,
    guess: Tensor | None = None,
    begin: float | Tensor = 0.0,
    coupled: bool = False,
) -> SamplerState:
    """State before the first step: at the prior, or between the prior and a guess.

    Args:
        prior: Where paths start.
        noise: One source per item; the first draw is used here.
        mask: True for real points.  [B, N]
        bonded: Bond graph.  [B, N, N]
        steps: Steps of each path, one number or [B].
        guess: Rough structures, Å; none starts at the prior.  [B, N, 3]
        begin: Time at which to start, as the share of the guess in the point between the two, one number or [B].
        coupled: Turn the prior sample onto the guess first (Kabsch), as training did.

    Returns:
        B paths with nothing done.
    """
    x = prior(noise.draw(torch.zeros(*mask.shape, 3, device=mask.device)), mask, bonded)
    done = torch.zeros(len(noise), dtype=torch.int64, device=mask.device)
    at = torch.zeros(len(noise), device=mask.device) + (begin if guess is not None else 0.0)
    if guess is not None:
        guess = centre(guess.to(x), mask)
        x = interpolate(rotate(x, kabsch(x, guess, mask)) if coupled else x, guess, at)
    return SamplerState(x, mask, done, done + steps, at, noise)


def advance(state: SamplerState, denoise: Denoise, step: Step, schedule: Schedule) -> SamplerState:
    """One step of every item that is not finished; the others stay.  The schedule spans what is left from `begin`."""
    after = torch.minimum(state.done + 1, state.total)
    shares = (schedule((count / state.total).to(state.x.dtype)) for count in (state.done, after))
    t, t_next = (state.begin + (1 - state.begin) * share for share in shares)
    x = step(denoise, state.x, t, t_next, state.mask, state.noise.draw)
    return replace(state, x=x, done=after)


def _widen(tensor: Tensor, size: int) -> Tensor:
    """Pad the point axis with zeros or False."""
    missing = size - tensor.shape[1]
    padding = tensor.new_zeros(tensor.shape[0], missing, *tensor.shape[2:])
    return torch.cat((tensor, padding), dim=1)
