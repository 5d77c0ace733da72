"""Where a trajectory starts: priors over centred coordinates, as maps from white noise.

A prior takes standard normal numbers instead of drawing them, so that the caller decides whose noise it is.
"""

from typing import Protocol

import torch
from torch import Tensor

from models.errors import SamplerError
from models.geometry.quotient import centre

PRIORS = ("gaussian", "harmonic")


class Prior(Protocol):
    """Map from white noise to a centred start, invariant under rotation."""

    def __call__(self, noise: Tensor, mask: Tensor, bonded: Tensor) -> Tensor:
        """[B, N, 3], [B, N], [B, N, N] -> [B, N, 3]"""


def build_prior(kind: str, std_ang: float) -> Prior:
    """Prior by name.

    Args:
        kind: `gaussian` or `harmonic`.
        std_ang: Standard deviation of a coordinate (gaussian) or of a bond's extension (harmonic), Å.
    """
    if kind == "gaussian":
        return lambda noise, mask, bonded: gaussian_prior(noise, mask, std_ang)
    if kind == "harmonic":
        return lambda noise, mask, bonded: harmonic_prior(noise, mask, bonded, std_ang)
    raise SamplerError(f"unknown prior {kind!r}; allowed: {', '.join(PRIORS)}")


def gaussian_prior(noise: Tensor, mask: Tensor, std_ang: float) -> Tensor:
    """Isotropic Gaussian with the centre of mass removed.  [B, N, 3] -> [B, N, 3]"""
    return std_ang * centre(noise, mask)


def harmonic_prior(noise: Tensor, mask: Tensor, bonded: Tensor, std_ang: float) -> Tensor:
    """Gaussian of a chain of springs along the bonds: modes of the graph Laplacian have std 1/sqrt(lambda).

    Sampled by a Cholesky factor of the precision matrix L + 11^T/n: the extra term only moves the centre of mass,
    which is removed.  The bond graph must be connected.

    Args:
        noise: Standard normal numbers.  [B, N, 3]
        mask: True for real points.  [B, N]
        bonded: Bond graph.  [B, N, N]
        std_ang: Standard deviation along a coordinate of one free spring, Å.

    Returns:
        Centred coordinates, Å.  [B, N, 3]

    Source:
        Jing et al., EigenFold; Hassan et al., ET-Flow.
    """
    weight = mask.to(noise.dtype)
    edges = bonded.to(noise.dtype)
    count = weight.sum(1).clamp(min=1)[:, None, None]
    laplacian = torch.diag_embed(edges.sum(-1)) - edges
    anchor = weight[:, :, None] * weight[:, None, :] / count
    padding = torch.diag_embed(1 - weight)
    factor, _ = torch.linalg.cholesky_ex(laplacian + anchor + padding)
    x = torch.linalg.solve_triangular(factor.mT, noise * weight.unsqueeze(-1), upper=True)
    return std_ang * centre(x, mask)
