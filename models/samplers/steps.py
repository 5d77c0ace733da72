"""One step each: Euler, Heun and Langevin, in a plain and a quotient form.

Axes: B samples, N padded points.  Coordinates in angstrom.  Each step takes `denoise(x, t)`, the coordinates at time
t, the time to reach, and the mask; t and t_next are one number per sample.  An item with t_next = t stays where it is.

In the quotient form every velocity and every noise is projected at the point where it acts (Ito), so the path moves
only between shapes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from models.errors import SamplerError
from models.geometry.quotient import centre, curvature_drift, horizontal_projection
from models.samplers.process import score, velocity

Denoise = Callable[[Tensor, Tensor], Tensor]
Step = Callable[[Denoise, Tensor, Tensor, Tensor, Tensor, Callable[[Tensor], Tensor]], Tensor]

KINDS = ("ode", "heun", "sde")


@dataclass(frozen=True)
class StepConfig:
    """Which step, in which form.

    Attributes:
        kind: `ode` (Euler), `heun` or `sde`.
        quotient: Move between shapes only.
        noise_scale: gamma of the SDE; 0 turns its noise off.
        prior_std_ang: Standard deviation of the Gaussian prior, Å; needed for the score.
        curvature: Keep the curvature drift of the quotient SDE; off only to measure what it does.
    """

    kind: str = "ode"
    quotient: bool = True
    noise_scale: float = 0.5
    prior_std_ang: float = 1.0
    curvature: bool = True


def build_step(config: StepConfig) -> Step:
    """Step function for a configuration; the noise source is only asked by the SDE."""
    if config.kind == "ode":
        return lambda denoise, x, t, t_next, mask, noise: step_euler(denoise, x, t, t_next, mask, config.quotient)
    if config.kind == "heun":
        return lambda denoise, x, t, t_next, mask, noise: step_heun(denoise, x, t, t_next, mask, config.quotient)
    if config.kind == "sde":
        return lambda denoise, x, t, t_next, mask, noise: step_langevin(denoise, x, t, t_next, mask, noise(x), config)
    raise SamplerError(f"unknown sampler {config.kind!r}; allowed: {', '.join(KINDS)}")


def step_euler(denoise: Denoise, x: Tensor, t: Tensor, t_next: Tensor, mask: Tensor, quotient: bool) -> Tensor:
    """x + P_x(v) dt with v = (D(x, t) - x) / (1 - t).  Order 1."""
    slope = _move(x, velocity(x, denoise(x, t), t), mask, quotient)
    return x + slope * _span(t, t_next)


def step_heun(denoise: Denoise, x: Tensor, t: Tensor, t_next: Tensor, mask: Tensor, quotient: bool) -> Tensor:
    """x + (P_x(v) + P_y(v')) dt / 2, each slope projected at its own point.  Order 2.

    The last step of a path ends at t = 1, where a velocity is 0 / 0; there the Euler step, which lands on the guess,
    is kept.
    """
    span = _span(t, t_next)
    slope = _move(x, velocity(x, denoise(x, t), t), mask, quotient)
    y = x + slope * span
    corrected = _move(y, velocity(y, denoise(y, t_next), t_next), mask, quotient)
    inner = (t_next < 1)[:, None, None]
    return (x + 0.5 * (slope + corrected) * span).where(inner, y)


def step_langevin(
    denoise: Denoise, x: Tensor, t: Tensor, t_next: Tensor, mask: Tensor, noise: Tensor, config: StepConfig
) -> Tensor:
    """x + P_x(v + g s) dt + gamma g c(x) dt + sqrt(2 gamma g dt) P_x(noise).

    s is the score of an uncoupled Gaussian prior and g = (1 - t) sets how strongly noise and score act; both vanish at
    the data.  The marginals are exact for gamma = 1; less noise than score samples at a lower temperature.  The
    curvature drift c points outward and follows the noise that is really added, gamma g.

    Source:
        Xu et al., Quotient-Space Diffusion Models, Theorem 4; the sign of their Algorithm 3 is wrong.
    """
    span = _span(t, t_next)
    strength = (1 - t)[:, None, None]
    v = velocity(x, denoise(x, t), t)
    drift = _move(x, v + strength * score(x, v, t, config.prior_std_ang), mask, config.quotient)
    heat = config.noise_scale * strength * span
    push = _tamed(heat * curvature_drift(x, mask), heat) if config.quotient and config.curvature else 0.0
    kick = _move(x, noise, mask, config.quotient)
    return x + drift * span + push + (2 * heat).sqrt() * kick


def _move(x: Tensor, v: Tensor, mask: Tensor, quotient: bool) -> Tensor:
    """The part of a velocity that the form allows: no translation, and no rotation on the quotient."""
    return horizontal_projection(x, v, mask) if quotient else centre(v, mask)


def _tamed(push: Tensor, heat: Tensor) -> Tensor:
    """Bound the curvature's push p, which grows like heat / r near a point or a line, where small molecules do come.

    2 p / (1 + sqrt(1 + 4 p^2 / heat)) is the implicit Euler step of dr/dt = 1/r: it never exceeds sqrt(heat), and
    its difference from p is a share p^2 / heat, of the order of the step, as the scheme's own error is.
    """
    size = push.square().sum((1, 2), keepdim=True)
    return 2 * push / (1 + (1 + 4 * size / heat.clamp(min=torch.finfo(push.dtype).tiny)).sqrt())


def _span(t: Tensor, t_next: Tensor) -> Tensor:
    return (t_next - t)[:, None, None]
