"""The path between noise and data: x_t = (1 - t) x_noise + t x_data, with t = 1 the data.

Axes: B samples, N padded points.  Coordinates in angstrom.
"""

import torch
from torch import Tensor

_LAST = 1e-4  # the velocity of a guess is only asked for before t = 1; a finished item must not divide by zero


def interpolate(x_noise: Tensor, x_data: Tensor, t: Tensor) -> Tensor:
    """Point on the straight path at time `t`.  [B, N, 3], [B, N, 3], [B] -> [B, N, 3]"""
    t = t[:, None, None]
    return (1 - t) * x_noise + t * x_data


def velocity(x: Tensor, denoised: Tensor, t: Tensor) -> Tensor:
    """Velocity that the guess of the clean structure implies, v = (D - x) / (1 - t).

    Exact for any prior and any coupling, because the path carries no extra noise.

    Args:
        x: Coordinates at time t, Å.  [B, N, 3]
        denoised: Guess of the clean structure, Å.  [B, N, 3]
        t: Time.  [B]

    Returns:
        Velocity, Å per unit time.  [B, N, 3]
    """
    return (denoised - x) / (1 - t).clamp(min=_LAST)[:, None, None]


def scaled_score(x: Tensor, v: Tensor, t: Tensor) -> Tensor:
    """Score of the marginal at `t` times the prior's covariance and the time left: (1 - t) Sigma s = t v - x.

    Holds only for an uncoupled Gaussian prior N(0, Sigma); there is no such formula for a coupled one.
    [B, N, 3], [B, N, 3], [B] -> [B, N, 3]
    """
    return t[:, None, None] * v - x


def draw_times(uniform: Tensor, flat: Tensor) -> Tensor:
    """Training times: 2 % uniform, 98 % Beta(1.9, 1), from two sets of uniform numbers.  [B], [B] -> [B]

    Beta(a, 1) is u^(1/a); it puts more of the work where the fine geometry is settled.
    """
    return torch.where(flat < 0.02, uniform, uniform ** (1 / 1.9))
