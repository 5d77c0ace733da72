"""Gaussian noise that belongs to a sample, not to a batch."""

from collections.abc import Sequence

import torch
from numpy import float32
from numpy.random import default_rng
from torch import Tensor


class SeededNoise:
    """One generator per sample.

    Noise is drawn on the CPU at the true number of points and padded afterwards: the first rows of a larger draw are
    not the smaller draw, so drawing at the padded size would make a result depend on its batch mates.
    """

    def __init__(self, seeds: Sequence[int], counts: Sequence[int]) -> None:
        self.counts = list(counts)
        # not torch's generator: on the CPU it drops all but 32 bits of a seed
        self.generators = [default_rng(seed % 2**63) for seed in seeds]

    def __len__(self) -> int:
        return len(self.generators)

    def draw(self, like: Tensor) -> Tensor:
        """Standard normal numbers, zero where padded, on the device of `like`.  [B, N, 3] -> [B, N, 3]"""
        out = torch.zeros(like.shape, dtype=torch.float32)
        for row, (generator, count) in enumerate(zip(self.generators, self.counts, strict=True)):
            out[row, :count] = torch.from_numpy(generator.standard_normal((count, 3), dtype=float32))
        return out.to(like)

    def take(self, index: Sequence[int]) -> "SeededNoise":
        """The sources of some samples; they go on where they are."""
        part = SeededNoise([], [])
        part.counts = [self.counts[k] for k in index]
        part.generators = [self.generators[k] for k in index]
        return part

    def join(self, other: "SeededNoise") -> "SeededNoise":
        """The sources of both, in this order."""
        both = SeededNoise([], [])
        both.counts = self.counts + other.counts
        both.generators = self.generators + other.generators
        return both
