"""Points that keep a given shape while the rest of a structure is sampled.

Axes: B samples, N padded points.  Coordinates in angstrom.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.geometry.alignment import kabsch
from models.geometry.quotient import centre
from models.geometry.rigid import rotate


@dataclass(frozen=True)
class Held:
    """Held points of B samples; a sample without any is left as it is.

    The guess of the clean structure gets the given shape in place of its own, laid onto it by superposition.  Points
    between held ones move along, by what those nearest in order move, in proportion; so a chain is not torn where it
    is held.  The network sees what is held from the first step on, and since every path ends at a guess, the shape is
    there in the end.

    Attributes:
        x: Given coordinates, in any position; ignored where nothing is held.  [B, N, 3]
        mask: True for held points.  [B, N]
    """

    x: Tensor
    mask: Tensor

    @staticmethod
    def nothing(like: Tensor) -> Held:
        """Nothing is held.  [B, N, 3]"""
        return Held(torch.zeros_like(like), torch.zeros(like.shape[:2], dtype=torch.bool, device=like.device))

    def put_into(self, guess: Tensor) -> Tensor:
        """The guess with the held points in their given shape, and the others moved along.  [B, N, 3] -> [B, N, 3]"""
        weight = self.mask.unsqueeze(-1).to(guess.dtype)
        middle = (guess * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp(min=1)
        given = centre(self.x, self.mask)
        turned = rotate(given, kabsch(given, centre(guess, self.mask), self.mask)) + middle
        before, after, share = self._nearest()
        moved = turned - guess
        along = torch.lerp(_at(moved, before), _at(moved, after), share.unsqueeze(-1).to(guess))
        return torch.where(self.mask.unsqueeze(-1), turned, guess + along * self.mask.any(1)[:, None, None])

    def _nearest(self) -> tuple[Tensor, Tensor, Tensor]:
        """Held points before and after each point, and its share of the way; the only one at both ends.  [B, N] each"""
        count = self.mask.shape[1]
        place = torch.arange(count, device=self.mask.device).expand_as(self.mask)
        before = torch.where(self.mask, place, -1).cummax(1).values
        after = torch.where(self.mask, place, count).flip(1).cummin(1).values.flip(1)
        first, last = torch.where(before < 0, after, before), torch.where(after == count, before, after)
        first, last = first.clamp(0, count - 1), last.clamp(0, count - 1)  # where nothing is held
        return first, last, (place - first) / (last - first).clamp(min=1)

    def take(self, index: Tensor) -> Held:
        """The items at `index`, in that order."""
        return Held(self.x[index], self.mask[index])

    def join(self, other: Held) -> Held:
        """Both, in this order, padded to the larger size."""
        size = max(self.x.shape[1], other.x.shape[1])
        x = torch.cat([widen(part.x, size) for part in (self, other)])
        return Held(x, torch.cat([torch.nn.functional.pad(p.mask, (0, size - p.mask.shape[1])) for p in (self, other)]))


def _at(values: Tensor, place: Tensor) -> Tensor:
    """Values at these places.  [B, N, 3], [B, N] -> [B, N, 3]"""
    return values.gather(1, place.unsqueeze(-1).expand(-1, -1, values.shape[-1]))


def widen(x: Tensor, size: int) -> Tensor:
    """Pad the point axis with zeros.  [B, N, 3] -> [B, size, 3]"""
    return torch.nn.functional.pad(x, (0, 0, 0, size - x.shape[1]))
