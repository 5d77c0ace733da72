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

    The guess of the clean structure gets the given shape in place of its own, laid onto it by superposition.  So the
    network sees what is held from the first step on, and since every path ends at a guess, the shape is there in the
    end.

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
        """The guess with the held points in their given shape.  [B, N, 3] -> [B, N, 3]"""
        weight = self.mask.unsqueeze(-1).to(guess.dtype)
        middle = (guess * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp(min=1)
        given = centre(self.x, self.mask)
        turned = rotate(given, kabsch(given, centre(guess, self.mask), self.mask)) + middle
        return torch.where(self.mask.unsqueeze(-1), turned, guess)

    def take(self, index: Tensor) -> Held:
        """The items at `index`, in that order."""
        return Held(self.x[index], self.mask[index])

    def join(self, other: Held) -> Held:
        """Both, in this order, padded to the larger size."""
        size = max(self.x.shape[1], other.x.shape[1])
        x = torch.cat([widen(part.x, size) for part in (self, other)])
        return Held(x, torch.cat([torch.nn.functional.pad(p.mask, (0, size - p.mask.shape[1])) for p in (self, other)]))


def widen(x: Tensor, size: int) -> Tensor:
    """Pad the point axis with zeros.  [B, N, 3] -> [B, size, 3]"""
    return torch.nn.functional.pad(x, (0, 0, 0, size - x.shape[1]))
