"""Shape space R^{3N} / SE(3): centring, inertia, horizontal projection, curvature drift.

Axes: B samples, N padded points.  Coordinates in angstrom.  `mask` is True for real points.  All functions are plain
element-wise tensor maths: they run on any device, in float32 or float64, under autograd, and never make the host wait.
Padded points are ignored on the way in and zero on the way out.
"""

import torch
from torch import Tensor

# Below this ratio of the smallest to the largest principal moment a point set counts as collinear.
_COLLINEAR = {torch.float32: 1e-6, torch.float64: 1e-12}


def centre(x: Tensor, mask: Tensor) -> Tensor:
    """Move the centre of mass (unit masses) of each point set to the origin.

    Args:
        x: Coordinates, Å.  [B, N, 3]
        mask: True for real points.  [B, N]

    Returns:
        Centred coordinates, zero where padded.  [B, N, 3]
    """
    weight = mask.unsqueeze(-1).to(x.dtype)
    x = x * weight
    return (x - x.sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp(min=1)) * weight


def second_moment(x: Tensor, mask: Tensor) -> Tensor:
    """Sum of outer products, S = sum_n x_n x_n^T, Å^2.  [B, N, 3] -> [B, 3, 3]"""
    x = x * mask.unsqueeze(-1).to(x.dtype)
    return x.mT @ x


def inertia(x: Tensor, mask: Tensor) -> Tensor:
    """Inertia tensor with unit masses, J = tr(S) I - S, Å^2.  [B, N, 3] -> [B, 3, 3]"""
    moment = second_moment(x, mask)
    return _trace(moment) * _identity(moment) - moment


def inverse_inertia(x: Tensor, mask: Tensor) -> Tensor:
    """Pseudo-inverse of the inertia tensor, Å^-2.

    J has the eigenvalues s2+s3, s1+s3, s1+s2 of the principal second moments, so it is singular only for collinear
    points (then S = s u u^T and J^+ = (I - u u^T) / s) and for a single point (then J^+ = 0).  Both cases are chosen by
    a *relative* cut: adding a small constant to J instead would turn float32 rounding into large angular velocities.

    Args:
        x: Centred coordinates, Å.  [B, N, 3]
        mask: True for real points.  [B, N]

    Returns:
        J^+.  [B, 3, 3]
    """
    moment = second_moment(x, mask)
    eye = _identity(moment)
    size = _trace(moment)
    nonzero = size > 0
    safe_size = torch.where(nonzero, size, torch.ones_like(size))
    scaled = moment / safe_size  # trace 1, so that the cut is relative and float32 products cannot overflow
    tensor = torch.where(nonzero, eye - scaled, eye)
    adjugate = _adjugate(tensor)
    det = (tensor[:, 0] * adjugate[:, :, 0]).sum(-1)[:, None, None]
    regular = det > _COLLINEAR[x.dtype]
    full = adjugate / torch.where(regular, det, torch.ones_like(det))
    inverse = torch.where(regular, full, eye - scaled) / safe_size
    return torch.where(nonzero, inverse, torch.zeros_like(inverse))


def vertical_projection(x: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Keep the part of `v` that only rotates `x`: omega x x_n with omega = J^+ sum_n x_n x v_n.

    Args:
        x: Centred coordinates, Å.  [B, N, 3]
        v: Velocity at `x`.  [B, N, 3]
        mask: True for real points.  [B, N]

    Returns:
        Vertical part of `v`, same unit.  [B, N, 3]
    """
    weight = mask.unsqueeze(-1).to(x.dtype)
    momentum = torch.linalg.cross(x * weight, v * weight).sum(1)
    omega = (inverse_inertia(x, mask) @ momentum.unsqueeze(-1)).squeeze(-1)
    return torch.linalg.cross(omega.unsqueeze(1).expand_as(x), x) * weight


def horizontal_projection(x: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Keep the part of `v` that changes the shape of `x`.

    The result has zero linear momentum, sum_n v_n = 0, and zero angular momentum, sum_n x_n x v_n = 0.  The map is an
    orthogonal projection.  Collinear molecules are fine: the pseudo-inverse leaves the missing rotation out.

    Args:
        x: Centred coordinates, Å.  [B, N, 3]
        v: Velocity at `x`, Å per unit time.  [B, N, 3]
        mask: True for real points.  [B, N]

    Returns:
        Horizontal part of `v`, same unit.  [B, N, 3]

    Source:
        Kendall's shape space; compare geomstats `PreShapeBundle.vertical_projection`.
    """
    v = centre(v, mask)
    return v - vertical_projection(x, v, mask)


def curvature_drift(x: Tensor, mask: Tensor, spread: Tensor | None = None) -> Tensor:
    """Drift that keeps diffusion on shape space unbiased when its noise is projected.

    White noise: c(x)_n = (tr(J^+) I - J^+) x_n = 1/2 grad log det J.  It is horizontal and points outward, and x . c(x)
    is the dimension of the rotation orbit: 3 in general, 2 for collinear points, 0 for one point.

    Noise of covariance Sigma over the points (the same along x, y and z), with y = Sigma x: on functions of the shape,
    Sigma - P Sigma P acts as a first derivative, because rotations leave them as they are; worked out it is

        c(x)_n = 2 (tr(J^+) I - J^+) y_n - (tr(H) I - H) x_n,   H = J^+ (tr(S) I - S) J^+,   S = sum_n x_n y_n^T,

    which is the former for Sigma = I.

    Args:
        x: Centred coordinates, Å.  [B, N, 3]
        mask: True for real points.  [B, N]
        spread: Sigma x, Å^3, with Sigma in Å^2; white noise by default.  [B, N, 3]

    Returns:
        The drift, Å^-1, or Å with a covariance.  [B, N, 3]

    Source:
        Xu et al., Quotient-Space Diffusion Models, Theorem 4, c = -h~; the sign printed in their sampler is wrong.
        The form for a covariance is derived here and checked by simulation in the tests.
    """
    inverse = inverse_inertia(x, mask)
    weight = mask.unsqueeze(-1).to(x.dtype)
    if spread is None:
        return (_trace(inverse) * x - x @ inverse) * weight
    x, spread = x * weight, spread * weight
    moment = x.mT @ spread
    inner = inverse @ (_trace(moment) * _identity(moment) - moment) @ inverse
    return 2 * (_trace(inverse) * spread - spread @ inverse) - (_trace(inner) * x - x @ inner)


def angular_momentum(x: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """Total angular momentum with unit masses, sum_n x_n x v_n.  [B, N, 3], [B, N, 3] -> [B, 3]"""
    weight = mask.unsqueeze(-1).to(x.dtype)
    return torch.linalg.cross(x * weight, v * weight).sum(1)


def _trace(matrix: Tensor) -> Tensor:
    """Trace, kept as a [B, 1, 1] tensor for broadcasting."""
    return matrix.diagonal(dim1=-2, dim2=-1).sum(-1)[:, None, None]


def _identity(matrix: Tensor) -> Tensor:
    """Identity of the same dtype and device, broadcast over the batch."""
    return torch.eye(3, dtype=matrix.dtype, device=matrix.device).expand_as(matrix)


def _adjugate(matrix: Tensor) -> Tensor:
    """Adjugate of symmetric 3 x 3 matrices: rows are cross products of the other two rows."""
    a, b, c = matrix.unbind(-2)
    return torch.stack((torch.linalg.cross(b, c), torch.linalg.cross(c, a), torch.linalg.cross(a, b)), dim=-1)
