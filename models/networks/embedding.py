"""Embeddings of time, tokens and token pairs.

Axes: B samples, N padded tokens, C channels.
"""

import math

import torch
from torch import Tensor, nn


class TimeEmbedding(nn.Module):
    """Sinusoids of t in [0, 1] through a two-layer network.  [B] -> [B, C]"""

    frequency: Tensor

    def __init__(self, channels: int, frequencies: int = 32) -> None:
        super().__init__()
        spread = torch.arange(frequencies) / (frequencies - 1)
        self.register_buffer("frequency", math.pi * torch.exp(spread * math.log(100.0)), persistent=False)
        self.layers = nn.Sequential(nn.Linear(2 * frequencies, channels), nn.SiLU(), nn.Linear(channels, channels))

    def forward(self, t: Tensor) -> Tensor:
        """Embed one time per sample."""
        phase = t[:, None] * self.frequency.to(t.dtype)
        return self.layers(torch.cat((phase.cos(), phase.sin()), dim=-1))


class CategoryEmbedding(nn.Module):
    """Sum of one table per feature column.  [B, N, F] -> [B, N, C]

    All columns share one table with an offset each, so a lookup is a single gather.
    """

    offsets: Tensor

    def __init__(self, sizes: tuple[int, ...], channels: int) -> None:
        super().__init__()
        offsets = torch.tensor((0, *sizes[:-1])).cumsum(0)
        self.register_buffer("offsets", offsets, persistent=False)
        self.table = nn.Embedding(sum(sizes), channels)
        nn.init.normal_(self.table.weight, std=1 / math.sqrt(len(sizes)))

    def forward(self, categories: Tensor) -> Tensor:
        """Embed the columns of each token."""
        return self.table(categories + self.offsets).sum(-2)


class PairTable(nn.Module):
    """Embedding of every possible pair code, made of its digits.  -> [codes, C]

    There are few codes, so each is embedded once per evaluation and pairs then gather their row.
    """

    onehot: Tensor

    def __init__(self, sizes: tuple[int, ...], channels: int) -> None:
        super().__init__()
        codes = torch.cartesian_prod(*(torch.arange(size) for size in sizes)).view(-1, len(sizes))
        onehot = [nn.functional.one_hot(codes[:, k], size) for k, size in enumerate(sizes)]
        self.register_buffer("onehot", torch.cat(onehot, dim=-1).float(), persistent=False)
        self.layers = nn.Sequential(nn.Linear(sum(sizes), 4 * channels), nn.SiLU(), nn.Linear(4 * channels, channels))

    def forward(self) -> Tensor:
        """The table, one row per code."""
        return self.layers(self.onehot)


class RadialBasis(nn.Module):
    """Gaussians of a distance, denser where bonds are.  [...] -> [..., R]"""

    centres: Tensor
    sharpness: Tensor

    def __init__(self, count: int, cutoff_ang: float) -> None:
        super().__init__()
        centres = cutoff_ang * torch.linspace(0, 1, count) ** 1.5
        widths = torch.cat((centres[1:] - centres[:-1], centres[-1:] - centres[-2:-1])).clamp(min=0.2)
        self.register_buffer("centres", centres, persistent=False)
        self.register_buffer("sharpness", 1 / widths, persistent=False)

    def forward(self, distance: Tensor) -> Tensor:
        """Expand distances in Å."""
        return torch.exp(-0.5 * ((distance.unsqueeze(-1) - self.centres) * self.sharpness).square())
