"""Denoising loss: Euclidean, horizontal, or Euclidean after a rigid alignment.

Axes: B samples, N padded points.  Coordinates in angstrom.
"""

from torch import Tensor

from models.geometry.alignment import align
from models.geometry.quotient import centre, horizontal_projection

LOSSES = ("quotient", "plain", "aligned")
_LATEST = 0.9  # the weight stops growing here; closer to the data, errors are rounding and not shape


def denoising_loss(x_t: Tensor, denoised: Tensor, x_data: Tensor, t: Tensor, mask: Tensor, kind: str) -> Tensor:
    """Mean over all real coordinates of the weighted squared error, Å^2; see `squared_errors`.

    The weight is w(t) = 1 / (1 - min(t, 0.9))^2.
    """
    weight = 1 / (1 - t.clamp(max=_LATEST)).square()
    return (weight * squared_errors(x_t, denoised, x_data, mask, kind)).sum() / (3 * mask.sum())


def squared_errors(x_t: Tensor, denoised: Tensor, x_data: Tensor, mask: Tensor, kind: str) -> Tensor:
    """Squared error of each guess, summed over its coordinates.

    `plain` is |D - x_data|^2.  `quotient` counts only the part of the error that is horizontal at `x_t`,
    |P_{x_t}(D - x_data)|^2: the network is free to say anything about position and orientation.  `aligned` first moves
    the target rigidly onto the guess, without gradient; it does not change when guess or target are moved, but its
    minimum is no longer E[x_data | x_t], so that no sampler is exact for it.

    Args:
        x_t: Centred input of the network, Å.  [B, N, 3]
        denoised: Its guess, Å.  [B, N, 3]
        x_data: The clean structure, Å.  [B, N, 3]
        mask: True for real points.  [B, N]
        kind: One of `LOSSES`.

    Returns:
        Å^2.  [B]

    Source:
        `aligned`: Abramson et al. 2024, AlphaFold 3, supplement, algorithm 28 (all weights one).
    """
    if kind == "aligned":
        guess = centre(denoised, mask)
        error = guess - align(x_data, guess.detach(), mask)
    else:
        error = (denoised - x_data) * mask.unsqueeze(-1)
        if kind == "quotient":
            error = horizontal_projection(x_t, error, mask)
    return error.square().sum((1, 2))
