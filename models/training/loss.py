"""Denoising loss, Euclidean or horizontal.

Axes: B samples, N padded points.  Coordinates in angstrom.
"""

from torch import Tensor

from models.geometry.quotient import horizontal_projection

_LATEST = 0.9  # the weight stops growing here; closer to the data, errors are rounding and not shape


def denoising_loss(x_t: Tensor, denoised: Tensor, x_data: Tensor, t: Tensor, mask: Tensor, quotient: bool) -> Tensor:
    """Weighted squared error of the guess, per coordinate.

    With `quotient` only the part of the error that is horizontal at `x_t` counts, w(t) |P_{x_t}(D - x_data)|^2: the
    network is free to say anything about position and orientation.

    Args:
        x_t: Centred input of the network, Å.  [B, N, 3]
        denoised: Its guess, Å.  [B, N, 3]
        x_data: The clean structure, Å.  [B, N, 3]
        t: Time.  [B]
        mask: True for real points.  [B, N]
        quotient: Project the error.

    Returns:
        Mean over all real coordinates, Å^2.  []
    """
    error = (denoised - x_data) * mask.unsqueeze(-1)
    if quotient:
        error = horizontal_projection(x_t, error, mask)
    weight = 1 / (1 - t.clamp(max=_LATEST)).square()
    return (weight * error.square().sum((1, 2))).sum() / (3 * mask.sum())
