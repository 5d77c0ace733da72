"""Frames and offsets of tokens that have several points, such as the N, CA, C and O of a residue.

Axes: B samples, N padded tokens, K points per token.  Coordinates in angstrom.
"""

import torch
from torch import Tensor

_SMALLEST_ANG = 1e-4  # directions of shorter vectors are not asked for; points that coincide get a frame of zeros


def build_frames(x: Tensor) -> Tensor:
    """Right-handed orthonormal axes of each token, from its first three points (Gram-Schmidt at the second).

    Args:
        x: Coordinates, Å.  [B, N, K, 3] with K of 3 or more

    Returns:
        One axis in each row; they turn with the points.  [B, N, 3, 3]
    """
    first = _unit(x[:, :, 2] - x[:, :, 1])
    rest = x[:, :, 0] - x[:, :, 1]
    second = _unit(rest - (rest * first).sum(-1, keepdim=True) * first)
    return torch.stack((first, second, torch.linalg.cross(first, second)), dim=-2)


def local_positions(frames: Tensor, anchors: Tensor) -> Tensor:
    """Where each token sees each other one, Å; no rigid motion changes it, a reflection does.

    Args:
        frames: Axes of each token.  [B, N, 3, 3]
        anchors: Position of each token, Å.  [B, N, 3]

    Returns:
        Place of the second token in the frame of the first.  [B, N, N, 3]
    """
    turned = anchors.unsqueeze(1) @ frames.mT  # [B, N, N, 3]: every anchor, in every frame
    own = (frames @ anchors.unsqueeze(-1)).squeeze(-1)
    return turned - own.unsqueeze(2)


def to_offsets(x: Tensor, anchor: int) -> Tensor:
    """Every point as seen from the anchor of its token, and the anchors as they are.  [B, N, K, 3]"""
    return torch.where(_is_anchor(x, anchor), x, x - x[:, :, anchor : anchor + 1])


def from_offsets(y: Tensor, anchor: int) -> Tensor:
    """Inverse of `to_offsets`.  [B, N, K, 3]"""
    return torch.where(_is_anchor(y, anchor), y, y + y[:, :, anchor : anchor + 1])


def _is_anchor(x: Tensor, anchor: int) -> Tensor:
    return (torch.arange(x.shape[2], device=x.device) == anchor)[:, None]


def _unit(v: Tensor) -> Tensor:
    return v / v.square().sum(-1, keepdim=True).add(_SMALLEST_ANG**2).sqrt()
