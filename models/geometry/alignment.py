"""Optimal superposition of point sets and the distance that is left.

Axes: B samples, N padded points.  Coordinates in angstrom.  `mask` is True for real points.
"""

import torch
from torch import Tensor

from models.geometry.quotient import centre
from models.geometry.rigid import quaternion_to_matrix, rotate

_JACOBI_SWEEPS = 6  # a 4 x 4 matrix is diagonal to float64 after five; fixed, so that the host never waits
_PAIRS = ((0, 1), (2, 3), (0, 2), (1, 3), (0, 3), (1, 2))


@torch.no_grad()
def kabsch(mobile: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Find the proper rotation R that brings `mobile` closest to `target`, both centred.

    The largest eigenvector of Horn's 4 x 4 matrix is the best unit quaternion, so the result is a rotation and never a
    reflection (no determinant to correct), also for planar, collinear and single points.  The result carries no
    gradient; by the envelope theorem the gradient of an aligned distance is right without it.

    Args:
        mobile: Centred coordinates to turn, Å.  [B, N, 3]
        target: Centred coordinates to meet, Å.  [B, N, 3]
        mask: True for real points.  [B, N]

    Returns:
        Rotations with `rotate(mobile, R)` nearest to `target`.  [B, 3, 3]

    Source:
        Horn 1987, "Closed-form solution of absolute orientation using unit quaternions".
    """
    weight = mask.unsqueeze(-1).to(mobile.dtype)
    covariance = (mobile * weight).mT @ (target * weight)
    matrix = _horn_matrix(covariance)
    scale = matrix.abs().amax(dim=(-2, -1), keepdim=True)
    values, vectors = _jacobi(matrix / torch.where(scale > 0, scale, torch.ones_like(scale)))
    best = values.argmax(-1)[:, None, None].expand(-1, 4, 1)
    return quaternion_to_matrix(vectors.gather(-1, best).squeeze(-1))


def align(mobile: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Centre `mobile` and turn it onto the centred `target`.  [B, N, 3] -> [B, N, 3]"""
    mobile = centre(mobile, mask)
    return rotate(mobile, kabsch(mobile, centre(target, mask), mask))


def rmsd(mobile: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Root mean square distance after optimal superposition, Å.  [B, N, 3] -> [B]"""
    difference = align(mobile, target, mask) - centre(target, mask)
    return (difference.square().sum((1, 2)) / mask.sum(1).clamp(min=1)).sqrt()


@torch.no_grad()
def best_overlap(covariance: Tensor) -> Tensor:
    """Largest overlap that a proper rotation reaches, max_R sum_n (R x_n) . y_n, without finding the rotation.

    With the singular values s of C = sum_n x_n y_n^T it is s1 + s2 + s3, or s1 + s2 - s3 where the determinant of C is
    negative.  |x|^2 + |y|^2 minus twice this is the squared distance after superposition.

    Args:
        covariance: C, Å^2.  [..., 3, 3]

    Returns:
        Å^2.  [...]

    Source:
        Kabsch 1978, "A discussion of the solution for the best rotation to relate two sets of vectors".
    """
    values = torch.linalg.svdvals(covariance)
    return values[..., 0] + values[..., 1] + torch.linalg.det(covariance).sign() * values[..., 2]


def _horn_matrix(covariance: Tensor) -> Tensor:
    """Symmetric 4 x 4 matrix whose quadratic form is the overlap of the turned points.  [B, 3, 3] -> [B, 4, 4]"""
    xx, xy, xz, yx, yy, yz, zx, zy, zz = covariance.flatten(-2).unbind(-1)
    rows = (
        xx + yy + zz, yz - zy, zx - xz, xy - yx,
        yz - zy, xx - yy - zz, xy + yx, zx + xz,
        zx - xz, xy + yx, yy - xx - zz, yz + zy,
        xy - yx, zx + xz, yz + zy, zz - xx - yy,
    )  # fmt: skip
    return torch.stack(rows, dim=-1).unflatten(-1, (4, 4))


def _jacobi(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues and eigenvectors of symmetric 4 x 4 matrices by cyclic Jacobi rotations."""
    vectors = torch.eye(4, dtype=matrix.dtype, device=matrix.device).repeat(len(matrix), 1, 1)
    for _ in range(_JACOBI_SWEEPS):
        for p, q in _PAIRS:
            angle = 0.5 * torch.atan2(2 * matrix[:, p, q], matrix[:, q, q] - matrix[:, p, p])
            cos, sin = angle.cos()[:, None], angle.sin()[:, None]
            columns = matrix.clone()
            columns[:, :, p] = cos * matrix[:, :, p] - sin * matrix[:, :, q]
            columns[:, :, q] = sin * matrix[:, :, p] + cos * matrix[:, :, q]
            matrix = columns.clone()
            matrix[:, p] = cos * columns[:, p] - sin * columns[:, q]
            matrix[:, q] = sin * columns[:, p] + cos * columns[:, q]
            turned = vectors.clone()
            turned[:, :, p] = cos * vectors[:, :, p] - sin * vectors[:, :, q]
            turned[:, :, q] = sin * vectors[:, :, p] + cos * vectors[:, :, q]
            vectors = turned
    return matrix.diagonal(dim1=-2, dim2=-1), vectors
