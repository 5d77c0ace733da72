"""Attention with pair bias, transition, and adaptive normalisation by time.

Axes: B samples, N padded tokens, C channels, H heads.
"""

import torch
from torch import Tensor, nn


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Adaptive part of a normalisation.  [B, N, C], [B, C], [B, C] -> [B, N, C]"""
    return x * (1 + scale.unsqueeze(1)) + shift.unsqueeze(1)


class PairBiasAttention(nn.Module):
    """Self-attention over all tokens, with a bias per pair and head, and normalised queries and keys.

    Beside values, each head pools the positions it attends to and hands on their offset from the token's own position,
    as seen from the token's frame where there are frames.
    """

    def __init__(self, channels: int, heads: int, positions: int = 1) -> None:
        super().__init__()
        self.heads = heads
        self.project_in = nn.Linear(channels, 3 * channels, bias=False)
        self.scale = nn.Parameter(torch.full((heads, 1, 1), (channels / heads) ** 0.5))
        self.project_out = nn.Linear(channels, channels)
        self.project_offset = nn.Linear(3 * positions * heads, channels, bias=False)

    def forward(
        self,
        h: Tensor,
        bias: Tensor,
        position: Tensor,
        origin: Tensor | None = None,
        frames: Tensor | None = None,
    ) -> Tensor:
        """Mix tokens.

        Args:
            h: Tokens.  [B, N, C]
            bias: Added to the logits; minus infinity at padded keys.  [B, H, N, N]
            position: Scaled positions of each token, several beside each other.  [B, N, 3*S]
            origin: Where each of them is seen from; from itself by default.  [B, N, 3*S]
            frames: Axes of each token; none keeps the axes of the coordinates.  [B, N, 3, 3]

        Returns:
            Update of the tokens.  [B, N, C]
        """
        batch, count, channels = h.shape
        query, key, value = self.project_in(h).view(batch, count, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        query, key = nn.functional.normalize(query, dim=-1), nn.functional.normalize(key, dim=-1)
        weights = torch.softmax((query * self.scale) @ key.mT + bias, dim=-1)
        mixed = (weights.to(value.dtype) @ value).transpose(1, 2).reshape(batch, count, channels)
        # [B, H*N, N] @ [B, N, 3*S]: one product for all heads
        pooled = (weights.reshape(batch, -1, count) @ position.to(weights.dtype)).view(batch, self.heads, count, -1)
        offset = (pooled - (position if origin is None else origin).unsqueeze(1)).transpose(1, 2)
        if frames is not None:
            offset = offset.reshape(batch, count, -1, 3) @ frames.mT
        offset = offset.reshape(batch, count, -1)
        return self.project_out(mixed) + self.project_offset(offset)


class Block(nn.Module):
    """One transformer layer; time sets shift, scale and gate of both halves (adaLN-zero)."""

    def __init__(self, channels: int, heads: int, expansion: int, positions: int = 1) -> None:
        super().__init__()
        self.attention = PairBiasAttention(channels, heads, positions)
        self.transition = nn.Sequential(
            nn.Linear(channels, expansion * channels), nn.SiLU(), nn.Linear(expansion * channels, channels)
        )
        self.norm = nn.LayerNorm(channels, elementwise_affine=False)
        self.modulation = nn.Linear(channels, 6 * channels)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(
        self,
        h: Tensor,
        condition: Tensor,
        bias: Tensor,
        position: Tensor,
        origin: Tensor | None = None,
        frames: Tensor | None = None,
    ) -> Tensor:
        """[B, N, C], [B, C], [B, H, N, N], [B, N, 3*S], [B, N, 3*S], [B, N, 3, 3] -> [B, N, C]"""
        shift_a, scale_a, gate_a, shift_t, scale_t, gate_t = self.modulation(condition).chunk(6, dim=-1)
        mixed = self.attention(modulate(self.norm(h), shift_a, scale_a), bias, position, origin, frames)
        h = h + gate_a.unsqueeze(1) * mixed
        return h + gate_t.unsqueeze(1) * self.transition(modulate(self.norm(h), shift_t, scale_t))
