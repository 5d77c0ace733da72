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
from models.samplers.prior import GaussianPrior, SpreadPrior
from models.samplers.process import scaled_score, velocity

Denoise = Callable[[Tensor, Tensor], Tensor]
Step = Callable[[Denoise, Tensor, Tensor, Tensor, Tensor, Callable[[Tensor], Tensor]], Tensor]

KINDS = ("ode", "heun", "sde")
_UNIT = GaussianPrior(1.0)


@dataclass(frozen=True)
class StepConfig:
    """Which step, in which form.

    Attributes:
        kind: `ode` (Euler), `heun` or `sde`.
        quotient: Move between shapes only.
        noise_scale: gamma of the SDE; 0 turns its noise off.
        churn: How strongly noise and score act; the marginals do not depend on it.
        prior: Gaussian prior of the model; sets score and noise of the SDE.
        curvature: Keep the curvature drift of the quotient SDE; off only to measure what it does.
    """

    kind: str = "ode"
    quotient: bool = True
    noise_scale: float = 0.5
    churn: float = 1.0
    prior: SpreadPrior = _UNIT
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
    """x + P_x(v + g Sigma s) dt + gamma g c(x) dt + sqrt(2 gamma g dt) P_x(Sigma^1/2 noise).

    s is the score of an uncoupled Gaussian prior of covariance Sigma, and g = churn (1 - t) sets how strongly noise and
    score act; both vanish at the data.  Langevin dynamics may use any covariance; the prior's treats all scales of a
    structure alike.  The marginals are exact for gamma = 1; less noise than score samples at a lower temperature.  The
    curvature drift c follows the noise that is really added, gamma g.  The last step adds none, since nothing would
    take it out again: it lands on the guess.

    Source:
        Xu et al., Quotient-Space Diffusion Models, Theorem 4; the sign of their Algorithm 3 is wrong.
    """
    span = _span(t, t_next)
    v = velocity(x, denoise(x, t), t)
    inner = (t_next < 1)[:, None, None].to(x.dtype)
    drift = _move(x, v + config.churn * inner * scaled_score(x, v, t), mask, config.quotient)
    heat = config.noise_scale * config.churn * inner * (1 - t)[:, None, None] * span
    push: Tensor | float = 0.0
    if config.quotient and config.curvature:
        spread = config.prior.spread(x, mask)
        push = _tamed(heat * curvature_drift(x, mask, spread), heat * _variance_along(x, spread))
    kick = _move(x, config.prior(noise, mask), mask, config.quotient)
    return x + drift * span + push + (2 * heat).sqrt() * kick


def _move(x: Tensor, v: Tensor, mask: Tensor, quotient: bool) -> Tensor:
    """The part of a velocity that the form allows: no translation, and no rotation on the quotient."""
    return horizontal_projection(x, v, mask) if quotient else centre(v, mask)


def _variance_along(x: Tensor, spread: Tensor) -> Tensor:
    """Variance of the prior in the direction of x, x . Sigma x / |x|^2, Å^2.  [B, N, 3], [B, N, 3] -> [B, 1, 1]"""
    size = x.square().sum((1, 2), keepdim=True).clamp(min=torch.finfo(x.dtype).tiny)
    return (x * spread).sum((1, 2), keepdim=True) / size


def _tamed(push: Tensor, heat: Tensor) -> Tensor:
    """Bound the curvature's push p, which grows like heat / r near a point or a line, where small molecules do come.

    2 p / (1 + sqrt(1 + 4 p^2 / heat)) is the implicit Euler step of dr/dt = 1/r: it never exceeds sqrt(heat), and
    its difference from p is a share p^2 / heat, of the order of the step, as the scheme's own error is.
    """
    size = push.square().sum((1, 2), keepdim=True)
    return 2 * push / (1 + (1 + 4 * size / heat.clamp(min=torch.finfo(push.dtype).tiny)).sqrt())


def _span(t: Tensor, t_next: Tensor) -> Tensor:
    return (t_next - t)[:, None, None]
