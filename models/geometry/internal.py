"""Quantities that no rigid motion changes: distances, angles, signed volumes."""

import torch
from torch import Tensor


def pair_distances(x: Tensor) -> Tensor:
    """All distances, Å, with a gradient that stays finite on the diagonal.  [B, N, 3] -> [B, N, N]"""
    difference = x.unsqueeze(-2) - x.unsqueeze(-3)
    return (difference.square().sum(-1) + 1e-12).sqrt()


def signed_volumes(x: Tensor, quadruples: Tensor) -> tuple[Tensor, Tensor]:
    """Signed volume of point quadruples (a, b, c, d) and its gradient at each of the four points.

    V = (a - d) . ((b - d) x (c - d)) is invariant under even and changes sign under odd permutations, and under
    reflection.  The gradients are the oriented areas of the opposite faces and sum to zero.

    Args:
        x: Coordinates, Å.  [B, N, 3]
        quadruples: Indices of points.  [B, Q, 4]

    Returns:
        Volumes, Å^3.  [B, Q]
        Gradients, Å^2.  [B, Q, 4, 3]
    """
    batch, count = quadruples.shape[:2]
    points = x.gather(1, quadruples.reshape(batch, count * 4, 1).expand(-1, -1, 3)).view(batch, count, 4, 3)
    a, b, c = (points[:, :, :3] - points[:, :, 3:]).unbind(2)
    grad_a, grad_b, grad_c = torch.linalg.cross(b, c), torch.linalg.cross(c, a), torch.linalg.cross(a, b)
    volume = (a * grad_a).sum(-1)
    return volume, torch.stack((grad_a, grad_b, grad_c, -(grad_a + grad_b + grad_c)), dim=2)


def angles(x: Tensor, triples: Tensor) -> Tensor:
    """Angle at the middle point of each triple, radians.  [..., N, 3], [T, 3] -> [..., T]"""
    first, middle, last = (x[..., triples[:, k], :] for k in range(3))
    u, v = first - middle, last - middle
    return torch.atan2(torch.linalg.cross(u, v).norm(dim=-1), (u * v).sum(-1))


def torsions(x: Tensor, quadruples: Tensor) -> Tensor:
    """Dihedral angle about the middle pair of each quadruple, radians in (-pi, pi].  [..., N, 3], [T, 4] -> [..., T]"""
    a, b, c, d = (x[..., quadruples[:, k], :] for k in range(4))
    first, axis, last = b - a, c - b, d - c
    left, right = torch.linalg.cross(first, axis), torch.linalg.cross(axis, last)
    sine = (torch.linalg.cross(left, right) * axis).sum(-1) / axis.norm(dim=-1)
    return torch.atan2(sine, (left * right).sum(-1))
