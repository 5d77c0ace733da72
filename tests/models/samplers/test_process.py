import pytest
import torch
from scipy.stats import kstest

from models.samplers.process import draw_times, interpolate, scaled_score, velocity

TIMES = torch.tensor([0.0, 0.25, 0.6, 0.95], dtype=torch.float64)


def test_interpolate_goes_from_noise_to_data():
    noise, data = torch.randn(2, 3, 5, 3, dtype=torch.float64)
    path = interpolate(noise, data, torch.tensor([0.0, 1.0, 0.25], dtype=torch.float64))
    assert torch.equal(path[0], noise[0])
    assert torch.equal(path[1], data[1])
    torch.testing.assert_close(path[2], 0.75 * noise[2] + 0.25 * data[2])


def test_velocity_of_the_true_data_is_that_of_the_path():
    noise, data = torch.randn(2, 4, 5, 3, dtype=torch.float64)
    found = velocity(interpolate(noise, data, TIMES), data, TIMES)
    torch.testing.assert_close(found, data - noise)


def test_velocity_and_score_are_finite_at_the_data():
    x, t = torch.randn(2, 5, 3), torch.ones(2)
    v = velocity(x, x + 0.1, t)
    assert v.isfinite().all()
    assert scaled_score(x, v, t).isfinite().all()


@pytest.mark.parametrize("prior_std", [0.6, 1.0, 2.5])
def test_score_is_the_gradient_of_the_log_density(shape_mixture, springs, prior_std):
    data = shape_mixture(springs, prior_std)
    x = torch.randn(4, 4, 3, dtype=torch.float64)
    x = (x - x.mean(1, keepdim=True)).requires_grad_()
    (expected,) = torch.autograd.grad(data.log_density(x, TIMES).sum(), x)
    x = x.detach()
    found = scaled_score(x, velocity(x, data(x, TIMES), TIMES), TIMES)
    torch.testing.assert_close(found, (1 - TIMES)[:, None, None] * prior_std**2 * expected)


def test_draw_times_are_beta_distributed_with_a_uniform_part():
    times = draw_times(torch.rand(20000, dtype=torch.float64), torch.rand(20000, dtype=torch.float64)).numpy()
    assert kstest(times, lambda t: 0.02 * t + 0.98 * t**1.9).pvalue > 1e-3


def test_draw_times_uses_the_uniform_number_as_it_is_in_two_percent():
    uniform, flat = torch.tensor([0.3, 0.3]), torch.tensor([0.019, 0.021])
    torch.testing.assert_close(draw_times(uniform, flat), torch.tensor([0.3, 0.3 ** (1 / 1.9)]))
