import pytest
import torch
from scipy.stats import ks_2samp

from models.errors import SamplerError
from models.geometry.internal import pair_distances
from models.geometry.quotient import centre, horizontal_projection
from models.geometry.rigid import random_rotation, rotate
from models.samplers.prior import ChainPrior, GaussianPrior
from models.samplers.steps import KINDS, StepConfig, build_step, step_euler, step_heun, step_langevin

every_kind = pytest.mark.parametrize("kind", KINDS)
both_forms = pytest.mark.parametrize("quotient", [True, False])
both_precisions = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def toy(x, t):
    """Equivariant under proper rotations and neither horizontal nor linear."""
    spin = torch.linalg.cross(x[:, :1] - x[:, 1:2], x[:, 1:2]).expand_as(x)
    size = 1 + x.square().sum((1, 2), keepdim=True)
    return x * (0.2 + t[:, None, None]) / size.sqrt() + torch.linalg.cross(spin / size, x)


def silent(x):
    raise AssertionError("only the SDE may ask for noise")


def white(x):
    return torch.randn_like(x)


def full(x):
    return torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)


def at(x, t):
    return torch.full((len(x),), t, dtype=x.dtype, device=x.device)


def run(step, denoise, x, steps, end=1.0, noise=white):
    """Equal steps from 0 to `end`."""
    mask = full(x)
    for count in range(steps):
        x = step(denoise, x, at(x, end * count / steps), at(x, end * (count + 1) / steps), mask, noise)
    return x


def cloud(batch, count, dtype=torch.float64):
    x = torch.randn(batch, count, 3, dtype=dtype)
    return centre(x, full(x))


# One step


@every_kind
@both_forms
@pytest.mark.parametrize("t", [0.0, 0.4, 1.0])
def test_step_without_time_stays(kind, quotient, t):
    x = cloud(3, 5)
    step = build_step(StepConfig(kind, quotient))
    assert torch.equal(step(toy, x, at(x, t), at(x, t), full(x), white), x)


def test_churn_mends_the_errors_of_earlier_steps():
    # Data is a tight cloud, and the chain begins far outside of it: score and noise bring it back, time alone does not.
    x = 5 * cloud(500, 6)
    away = []
    for churn in (0.0, 2.0, 30.0):
        step, now = build_step(StepConfig("sde", noise_scale=1.0, churn=churn)), x
        for count in range(40):
            t, t_next = 0.5 + count / 200, 0.5 + (count + 1) / 200
            shrink = lambda x, t: x * (0.5 * t / ((1 - t) ** 2 + 0.5 * t**2))[:, None, None]  # noqa: E731
            now = step(shrink, now, at(x, t), at(x, t_next), full(x), white)
        away.append(abs(now.square().sum((1, 2)).mean().item() / (15 * (0.3**2 + 0.5 * 0.7**2)) - 1))
    assert away[2] < 0.15 < 2 * away[1] < 2 * away[0]


@both_forms
def test_last_step_of_the_sde_lands_on_the_guess_without_noise(quotient):
    x = cloud(3, 5)
    config = StepConfig("sde", quotient, noise_scale=1.0)
    landed = step_langevin(toy, x, at(x, 0.8), at(x, 1.0), full(x), white(x), config)
    torch.testing.assert_close(landed, step_euler(toy, x, at(x, 0.8), at(x, 1.0), full(x), quotient))


@pytest.mark.parametrize("step", [step_euler, step_heun])
def test_last_step_lands_on_the_guess(step):
    x = cloud(3, 5)
    guess = toy(x, at(x, 0.9))
    guess = guess - guess.mean(1, keepdim=True)
    landed = step(lambda x, t: guess, x, at(x, 0.9), at(x, 1.0), full(x), False)
    torch.testing.assert_close(landed, guess)
    shape = step(lambda x, t: guess, x, at(x, 0.9), at(x, 1.0), full(x), True)
    torch.testing.assert_close(shape, x + horizontal_projection(x, guess - x, full(x)))


@pytest.mark.parametrize("kind", ["ode", "sde"])
def test_quotient_step_is_horizontal(kind):
    # A Heun step is not: its two slopes are horizontal at two different points.
    x = cloud(6, 5)
    moved = build_step(StepConfig(kind))(toy, x, at(x, 0.3), at(x, 0.4), full(x), white) - x
    torch.testing.assert_close(horizontal_projection(x, moved, full(x)), moved)


@every_kind
@both_forms
def test_step_keeps_the_centre(kind, quotient):
    x = cloud(4, 5)
    step = build_step(StepConfig(kind, quotient))
    after = step(lambda x, t: toy(x, t) + 3.0, x, at(x, 0.3), at(x, 0.5), full(x), lambda x: 2.0 + white(x))
    torch.testing.assert_close(after.mean(1), torch.zeros(4, 3, dtype=x.dtype))


@every_kind
@both_forms
def test_step_is_equivariant(kind, quotient):
    x, noise = cloud(4, 5), cloud(4, 5)
    rotation = random_rotation(torch.randn(4, 4, dtype=x.dtype))
    step = build_step(StepConfig(kind, quotient))
    after = step(toy, x, at(x, 0.3), at(x, 0.5), full(x), lambda x: noise)
    turned = step(toy, rotate(x, rotation), at(x, 0.3), at(x, 0.5), full(x), lambda x: rotate(noise, rotation))
    torch.testing.assert_close(turned, rotate(after, rotation))


@every_kind
@both_forms
@both_precisions
def test_padding_and_batch_mates_change_nothing(kind, quotient, dtype, pad):
    sets = [cloud(1, count, dtype)[0] for count in (2, 5, 8)]
    kicks = [torch.randn_like(points) for points in sets]
    x, mask = pad(sets, size=9)
    noise, _ = pad(kicks, size=9)
    t = torch.tensor([0.1, 0.5, 0.8], dtype=dtype)
    t_next = torch.tensor([0.2, 0.5, 1.0], dtype=dtype)  # a step, no step, the last step
    step = build_step(StepConfig(kind, quotient))
    after = step(toy, x, t, t_next, mask, lambda x: noise)
    assert (after[~mask] == 0).all()
    for row, (points, kick) in enumerate(zip(sets, kicks, strict=True)):
        one, own = points[None], slice(row, row + 1)
        single = step(toy, one, t[own], t_next[own], full(one), lambda x, kick=kick: kick[None])
        torch.testing.assert_close(after[own, : len(points)], single)


@every_kind
def test_padding_of_the_guess_and_of_the_noise_is_ignored(kind, pad):
    x, mask = pad([cloud(1, count)[0] for count in (3, 6)])
    step = build_step(StepConfig(kind))
    noise, junk = torch.randn_like(x), 50.0 * (~mask).unsqueeze(-1)
    clean = step(toy, x, at(x, 0.2), at(x, 0.3), mask, lambda x: noise)
    dirty = step(lambda x, t: toy(x, t) + junk, x, at(x, 0.2), at(x, 0.3), mask, lambda x: noise + junk)
    torch.testing.assert_close(dirty, clean)


def test_only_the_sde_asks_for_noise():
    x = cloud(2, 4)
    for kind in ("ode", "heun"):
        build_step(StepConfig(kind))(toy, x, at(x, 0.0), at(x, 0.1), full(x), silent)
    with pytest.raises(AssertionError, match="only the SDE"):
        build_step(StepConfig("sde"))(toy, x, at(x, 0.0), at(x, 0.1), full(x), silent)


def test_build_step_names_what_is_allowed():
    with pytest.raises(SamplerError, match=r"'rk4'.*ode, heun, sde"):
        build_step(StepConfig("rk4"))


@every_kind
@both_forms
@both_precisions
def test_degenerate_molecules_stay_finite(kind, quotient, dtype, rod, pad, device):
    x, mask = pad([rod, torch.zeros(1, 3, dtype=rod.dtype)])
    x, mask = x.to(device, dtype), mask.to(device)
    step = build_step(StepConfig(kind, quotient))
    for count in range(5):
        x = step(lambda x, t: 0.7 * x, x, at(x, count / 5), at(x, (count + 1) / 5), mask, white)
        assert x.isfinite().all()
    assert (x[1] == 0).all()  # one atom has nowhere to go


@pytest.mark.parametrize("kind", ["ode", "heun"])
def test_quotient_ode_keeps_a_rod_on_its_axis(kind, rod):
    # The guess is the rod at twice its length in another direction.  All that is not along the axis is rotation.
    turned = rotate(2 * rod[None], random_rotation(torch.randn(1, 4, dtype=rod.dtype)))
    after = run(build_step(StepConfig(kind)), lambda x, t: turned, rod[None], 10, noise=silent)
    direction = rod[0] / rod[0].norm()
    torch.testing.assert_close(after, (after @ direction)[..., None] * direction)


# Whole ODE paths


@pytest.mark.parametrize("kind", ["ode", "heun"])
@pytest.mark.parametrize("spread", [(0.5, 0.5, 0.5), (2.0, 2.0, 2.0), (0.4, 1.0, 2.5)])
def test_plain_ode_keeps_mean_and_covariance_of_gaussian_data(kind, spread):
    # The exact flow scales each axis by its std over that of the prior.  To follow it sample by sample is more than
    # to have the right mean and covariance, and needs no statistics.
    prior_std, spread = 1.3, torch.tensor(spread, dtype=torch.float64)

    def denoise(x, t):
        t = t[:, None, None]
        return t * spread**2 / ((1 - t) ** 2 * prior_std**2 + t**2 * spread**2) * x

    noise = prior_std * cloud(2000, 4)
    steps, tolerance = {"ode": (400, 2e-2), "heun": (100, 5e-3)}[kind]
    data = run(build_step(StepConfig(kind, quotient=False)), denoise, noise, steps, noise=silent)
    torch.testing.assert_close(data, noise * spread / prior_std, rtol=tolerance, atol=1e-3)
    # 2000 * 4 points with 3 / 4 of the freedom; the standard error of a variance is 1.8 %.
    covariance = (data.mT @ data).sum(0) / (2000 * 3)
    torch.testing.assert_close(covariance, spread.square().diag(), rtol=0.08, atol=0.08 * float(spread.max() ** 2))
    assert data.mean((0, 1)).abs().max() < 1e-9


@both_forms
def test_ode_follows_the_exact_flow_of_invariant_gaussian_data(quotient, shape_mixture, springs):
    data = shape_mixture(springs[:1], prior_std=1.3)
    noise = 1.3 * cloud(50, 4)
    end = run(build_step(StepConfig("heun", quotient)), data, noise, 100, noise=silent)
    torch.testing.assert_close(end, data.flow(noise, at(noise, 1.0)), rtol=0, atol=5e-3)


@both_forms
@pytest.mark.parametrize(("kind", "order"), [("ode", 1), ("heun", 2)])
@pytest.mark.parametrize("end", [0.8, 1.0])
def test_step_order_of_convergence(kind, order, quotient, end, shape_mixture, springs):
    # The spin gives the projection something to do, at each of the two points of a Heun step, and changes no shape, so
    # that the exact distances are still known.  The last Heun step to t = 1 is an Euler step; one such step among n
    # adds an error of order h^2 only, and the whole path keeps order 2.
    data, noise = shape_mixture(springs[:1]), cloud(8, 4)
    exact = pair_distances(data.flow(noise, at(noise, end)))

    def denoise(x, t):
        spin = torch.linalg.cross(x[:, :1], x[:, 1:2])
        return data(x, t) + (1 - t)[:, None, None] * torch.linalg.cross(0.5 * spin.expand_as(x), x)

    def error(steps):
        found = pair_distances(run(build_step(StepConfig(kind, quotient)), denoise, noise, steps, end, silent))
        return (found - exact).square().mean().sqrt()

    errors = torch.stack([error(steps) for steps in (30, 60, 120)])
    orders = (errors[:-1] / errors[1:]).log2()
    assert ((orders - order).abs() < 0.2).all(), orders


def test_quotient_ode_takes_the_same_shapes_as_the_plain_one():
    # With an equivariant guess the shape does not feel the vertical part of the velocity, only the orientation does.
    noise = cloud(20, 5)
    plain, quotient = (run(build_step(StepConfig("heun", q)), toy, noise, 60, 0.9, silent) for q in (False, True))
    torch.testing.assert_close(pair_distances(quotient), pair_distances(plain), rtol=0, atol=2e-3)
    assert (quotient - plain).abs().max() > 0.1  # else the law would say nothing


# The SDE


def langevin_squares(count, **settings):
    """Squared radii at the end of long Langevin chains for N(0, I) on centred points.

    At t = 0 with prior N(0, 1) and the guess D(x) = x the velocity is zero and the score is -x, so that a Langevin step
    from t = 0 to t = h is a step of size h for N(0, I).
    """
    config = StepConfig("sde", **settings)
    x = cloud(2000, count, torch.float32)
    mask, t, t_next = full(x), at(x, 0.0), at(x, 0.04)
    for _ in range(60):
        x = step_langevin(lambda x, t: x, x, t, t_next, mask, white(x), config)
    return x.square().sum((1, 2))


def assert_mean(squares, exact):
    """Three standard errors, and 3 % for the step of 0.04 and for what is left of the start after a time of 2.4."""
    error = squares.std().item() / len(squares) ** 0.5
    assert abs(squares.mean().item() - exact) < 3 * error + 0.03 * exact


@pytest.mark.parametrize("count", [4, 6, 10])
def test_langevin_radius_is_that_of_the_gaussian_with_curvature(count):
    assert_mean(langevin_squares(count, noise_scale=1.0), 3 * count - 3)


@pytest.mark.parametrize("count", [4, 6, 10])
def test_langevin_radius_is_three_too_small_without_curvature(count):
    assert_mean(langevin_squares(count, noise_scale=1.0, curvature=False), 3 * count - 6)


def test_langevin_radius_of_the_plain_chain_needs_no_curvature():
    assert_mean(langevin_squares(4, noise_scale=1.0, quotient=False), 9)


def test_langevin_curvature_follows_the_noise_that_is_added():
    # Half of the noise is half of the temperature: a curvature term that followed the score would give 6 instead.
    assert_mean(langevin_squares(4, noise_scale=0.5), 4.5)


@pytest.mark.parametrize("noise_scale", [1.0, 0.5])
def test_langevin_keeps_the_covariance_of_a_chain(noise_scale):
    # Two residues, whose points have very different spreads: the curvature of white noise would be wrong here.
    prior, mask = ChainPrior(1.05), torch.ones(4000, 8, dtype=torch.bool)
    exact = linear_spread(prior, 8)
    x = noise_scale**0.5 * prior(torch.randn(4000, 8, 3), mask)
    config = StepConfig("sde", noise_scale=noise_scale, prior=prior)
    for _ in range(60):
        x = step_langevin(lambda x, t: x, x, at(x, 0.0), at(x, 0.04), mask, white(x), config)
    for a, b in ((0, 1), (1, 3), (1, 5)):
        square = (x[:, a] - x[:, b]).square().sum(-1)
        expected = 3 * noise_scale * (exact[a, a] + exact[b, b] - 2 * exact[a, b]).item()
        assert_mean(square, expected)


def linear_spread(prior, count):
    basis = torch.eye(count, dtype=torch.float64)[:, :, None].expand(-1, -1, 3)
    return prior.spread(basis, torch.ones(count, count, dtype=torch.bool))[..., 0].T


def test_noise_scale_of_the_prior_only_changes_the_unit():
    x, noise = cloud(3, 5), cloud(3, 5)
    small, large = (StepConfig("sde", prior=GaussianPrior(std)) for std in (1.0, 7.0))
    mask, times = full(x), (at(x, 0.3), at(x, 0.4))
    after = step_langevin(lambda x, t: 0.5 * x, x, *times, mask, noise, small)
    scaled = step_langevin(lambda x, t: 0.5 * x, 7 * x, *times, mask, noise, large)
    torch.testing.assert_close(scaled, 7 * after)


@pytest.mark.parametrize("width", [1e-3, 1e-4])
def test_langevin_step_is_bounded_near_a_singular_shape(width):
    # Chains of two atoms do come close to r = 0, and those of three atoms to a line.  Larger molecules do not.
    two = width * torch.tensor([[[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]]])
    bent = torch.tensor([[[1.0, -width, 0.0], [0.0, 2 * width, 0.0], [-1.0, -width, 0.0]]])
    step = build_step(StepConfig("sde", noise_scale=1.0))
    for x in (two, bent):
        after = step(lambda x, t: x, x, at(x, 0.0), at(x, 0.02), full(x), white)
        assert (after - x).abs().max() < 10 * 0.02**0.5


@both_forms
def test_langevin_without_noise_is_deterministic(quotient):
    x = cloud(2, 5)
    step = build_step(StepConfig("sde", quotient, noise_scale=0.0))
    first, second = (step(toy, x, at(x, 0.2), at(x, 0.3), full(x), white) for _ in range(2))
    assert torch.equal(first, second)


SAMPLERS = {
    "plain ode": (StepConfig("ode", quotient=False), 100),
    "quotient heun": (StepConfig("heun"), 30),
    "plain sde": (StepConfig("sde", quotient=False, noise_scale=1.0), 50),
    "quotient sde": (StepConfig("sde", noise_scale=1.0), 50),
    "quotient sde with churn": (StepConfig("sde", noise_scale=1.0, churn=4.0), 100),
}


def distance_gap(config, steps, data, count=2500):
    """Largest Kolmogorov-Smirnov distance between samples and data over some internal distances."""
    noise = data.prior_std * cloud(count, 4)
    samples = pair_distances(run(build_step(config), data, noise, steps))
    truth = pair_distances(data.draw(20000))
    pairs = ((0, 1), (0, 3), (1, 2))
    return max(ks_2samp(samples[:, a, b].numpy(), truth[:, a, b].numpy()).statistic for a, b in pairs)


@pytest.mark.parametrize("name", SAMPLERS)
def test_sampler_gives_the_internal_distances_of_the_data(name, shape_mixture, springs):
    # Data of two kinds of shape, so that the guess is not linear.  0.045 is below the 0.1 % level of these counts.
    config, steps = SAMPLERS[name]
    assert distance_gap(config, steps, shape_mixture(springs)) < 0.045


@pytest.mark.parametrize("count", [2, 3])
def test_quotient_sde_gives_the_bond_lengths_of_small_molecules(count, shape_mixture):
    # Compares quantiles, which a few far outliers (see the step near a singular shape) do not move.
    data = shape_mixture(0.25 * (torch.eye(count, dtype=torch.float64) - 1 / count)[None])
    samples = run(build_step(StepConfig("sde", noise_scale=1.0)), data, cloud(2000, count), 60)
    found, truth = (pair_distances(x)[:, 0, 1].numpy() for x in (samples, data.draw(20000)))
    assert ks_2samp(found, truth).statistic < 0.08


def test_quotient_sde_without_curvature_gives_other_distances(shape_mixture, springs):
    # Shows that the test above can fail.
    config = StepConfig("sde", noise_scale=1.0, curvature=False)
    assert distance_gap(config, 50, shape_mixture(springs)) > 0.15


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@every_kind
@both_forms
def test_step_does_not_make_the_host_wait(kind, quotient, clouds, forbid_sync):
    x, mask = (part.cuda() for part in clouds)
    step, t, t_next = build_step(StepConfig(kind, quotient)), at(x, 0.5), at(x, 0.6)
    step(toy, x, t, t_next, mask, white)  # the first call may load libraries
    with forbid_sync():
        step(toy, x, t, t_next, mask, white)
