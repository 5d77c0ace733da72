"""Where a trajectory starts: priors over centred coordinates, as maps from white noise.

A prior takes standard normal numbers instead of drawing them, so that the caller decides whose noise it is.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from models.errors import SamplerError
from models.geometry.quotient import centre

PRIORS = ("gaussian", "harmonic", "chain")
CHAIN_POINTS, CHAIN_ANCHOR = 4, 1  # N, CA, C, O
CA_STEP_ANG = 3.8
_LONGEST = 2048  # residues of the table of persistence
_MOST_PERSISTENT = 0.999  # short chains are open ones, whose persistence is 1; the centre of mass takes the rest


class Prior(Protocol):
    """Map from white noise to a centred start, invariant under rotation."""

    def __call__(self, noise: Tensor, mask: Tensor, bonded: Tensor | None = None) -> Tensor:
        """[B, N, 3], [B, N], [B, T, T] of tokens -> [B, N, 3]"""


class SpreadPrior(Prior, Protocol):
    """A prior whose covariance is at hand, as a score needs it."""

    def spread(self, x: Tensor, mask: Tensor) -> Tensor:
        """Covariance times coordinates, Sigma x, Å^3.  [B, N, 3], [B, N] -> [B, N, 3]"""


def build_prior(kind: str, std_ang: float) -> Prior:
    """Prior by name.

    Args:
        kind: `gaussian`, `harmonic` or `chain`.
        std_ang: Standard deviation of a coordinate (gaussian), of a bond's extension (harmonic) or of a point as seen
            from its residue's CA (chain), Å.
    """
    if kind == "gaussian":
        return GaussianPrior(std_ang)
    if kind == "harmonic":
        return HarmonicPrior(std_ang)
    if kind == "chain":
        return ChainPrior(std_ang)
    raise SamplerError(f"unknown prior {kind!r}; allowed: {', '.join(PRIORS)}")


@dataclass(frozen=True)
class GaussianPrior:
    """Isotropic Gaussian with the centre of mass removed."""

    std_ang: float

    def __call__(self, noise: Tensor, mask: Tensor, bonded: Tensor | None = None) -> Tensor:
        """Start.  [B, N, 3] -> [B, N, 3]"""
        return self.std_ang * centre(noise, mask)

    def spread(self, x: Tensor, mask: Tensor) -> Tensor:
        """Covariance times coordinates."""
        return self.std_ang**2 * centre(x, mask)


@dataclass(frozen=True)
class HarmonicPrior:
    """Gaussian of a chain of springs along the bonds: modes of the graph Laplacian have std 1/sqrt(lambda).

    Sampled by a Cholesky factor of the precision matrix L + 11^T/n: the extra term only moves the centre of mass,
    which is removed.  The bond graph must be connected.

    Source:
        Jing et al., EigenFold; Hassan et al., ET-Flow.
    """

    std_ang: float

    def __call__(self, noise: Tensor, mask: Tensor, bonded: Tensor | None = None) -> Tensor:
        """Start.  [B, N, 3] -> [B, N, 3]"""
        if bonded is None:
            raise SamplerError("the harmonic prior needs the bond graph")
        weight = mask.to(noise.dtype)
        edges = bonded.to(noise.dtype)
        count = weight.sum(1).clamp(min=1)[:, None, None]
        laplacian = torch.diag_embed(edges.sum(-1)) - edges
        anchor = weight[:, :, None] * weight[:, None, :] / count
        padding = torch.diag_embed(1 - weight)
        factor, _ = torch.linalg.cholesky_ex(laplacian + anchor + padding)
        x = torch.linalg.solve_triangular(factor.mT, noise * weight.unsqueeze(-1), upper=True)
        return self.std_ang * centre(x, mask)


@dataclass(frozen=True)
class ChainPrior:
    """Gaussian of a protein backbone as a random chain in a trap.

    The CA make steps of 3.8 Å (root mean square) and are drawn back to the middle just as much as gives the radius of
    gyration of natural chains of the same length; N, C and O lie around their CA.  So noise and data have nearly the
    same spread at every scale, from a bond to the whole chain, and no scale is drowned while another is being settled.

    Points are N, CA, C and O of each residue, in this order.

    Source:
        Ingraham et al. 2023, Chroma, for the idea of noise that is a globular polymer.
    """

    std_ang: float

    def __call__(self, noise: Tensor, mask: Tensor, bonded: Tensor | None = None) -> Tensor:
        """Start.  [B, N, 3] -> [B, N, 3]"""
        points = (noise * mask.unsqueeze(-1)).view(len(noise), -1, CHAIN_POINTS, 3)
        anchor = _walk(mask, noise) @ points[:, :, CHAIN_ANCHOR]
        x = anchor.unsqueeze(2) + self.std_ang * points * _off_anchor(points)
        return centre(x.view(noise.shape), mask)

    def spread(self, x: Tensor, mask: Tensor) -> Tensor:
        """Covariance times coordinates."""
        points = centre(x, mask).view(len(x), -1, CHAIN_POINTS, 3)
        walk = _walk(mask, x)
        anchor = walk @ (walk.mT @ points.sum(2))
        return centre((anchor.unsqueeze(2) + self.std_ang**2 * points * _off_anchor(points)).view(x.shape), mask)


def _walk(mask: Tensor, like: Tensor) -> Tensor:
    """Map from the white noise of the CA to their places: x_i = sum_j a^(i-j) s_j, an autoregressive chain.

    [B, N*4] -> [B, N, N]
    """
    lengths = mask.sum(1) // CHAIN_POINTS
    a = torch.from_numpy(_persistence()).to(device=like.device, dtype=torch.float64)[lengths][:, None, None]
    place = torch.arange(mask.shape[1] // CHAIN_POINTS, device=mask.device)
    apart = (place[:, None] - place).clamp(min=0)
    first = (place == 0).to(a)
    variance = CA_STEP_ANG**2 / 3 * ((1 + a) / 2 * (1 - first) + first / (2 * (1 - a)))
    walk = a**apart * variance.sqrt()
    return (walk * (place[:, None] >= place)).to(like.dtype)


def _off_anchor(points: Tensor) -> Tensor:
    return (torch.arange(CHAIN_POINTS, device=points.device) != CHAIN_ANCHOR).to(points)[:, None]


@lru_cache(maxsize=1)
def _persistence() -> np.ndarray:
    """Correlation of neighbours that gives chains of L residues the radius of gyration 2.642 L^0.353 Å.  [L+1]

    Around the middle, CA with correlation a^s at separation s and steps of 3.8 Å have Rg^2 = 3 (C(0) - mean C), with
    C(0) = 3.8^2 / (6 (1 - a)).  Solved by bisection for all lengths at once.
    """
    length = np.arange(1, _LONGEST + 1, dtype=np.float64)
    wanted = (2.642 * length**0.353) ** 2
    low, high = np.zeros_like(length), np.full_like(length, 1 - 1e-9)
    for _ in range(60):
        a = (low + high) / 2
        mean = (length * (1 + a) / (1 - a) - 2 * a * (1 - a**length) / (1 - a) ** 2) / length**2
        wider = CA_STEP_ANG**2 / (2 * (1 - a)) * (1 - mean) > wanted
        low, high = np.where(wider, low, a), np.where(wider, a, high)
    return np.concatenate(([0.0], np.minimum(low, _MOST_PERSISTENT)))
