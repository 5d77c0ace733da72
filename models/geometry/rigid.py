"""Rotations: from quaternions, drawn at random, applied to point sets."""

import torch
from torch import Tensor


def quaternion_to_matrix(quaternion: Tensor) -> Tensor:
    """Turn quaternions (w, x, y, z) of any length but zero into rotation matrices.  [..., 4] -> [..., 3, 3]"""
    w, x, y, z = (quaternion / quaternion.norm(dim=-1, keepdim=True)).unbind(-1)
    rows = (
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    )  # fmt: skip
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def random_rotation(noise: Tensor) -> Tensor:
    """Turn standard normal numbers into uniformly distributed rotations.  [B, 4] -> [B, 3, 3]"""
    return quaternion_to_matrix(noise)


def rotate(x: Tensor, rotation: Tensor) -> Tensor:
    """Apply one rotation to each point set, x_n -> R x_n.  [B, N, 3], [B, 3, 3] -> [B, N, 3]"""
    return x @ rotation.mT
