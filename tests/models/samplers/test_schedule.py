import pytest
import torch

from models.errors import SamplerError
from models.samplers.schedule import SCHEDULES, build_schedule, logarithmic

every = pytest.mark.parametrize("name", SCHEDULES)


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_schedule_goes_from_exactly_zero_to_exactly_one(name, dtype):
    # Exactly one: the steps take t = 1 as the sign that a path has ended.
    ends = build_schedule(name)(torch.tensor([0.0, 1.0], dtype=dtype))
    assert torch.equal(ends, torch.tensor([0.0, 1.0], dtype=dtype))


@every
@pytest.mark.parametrize("steps", [2, 5, 50, 400])
def test_schedule_is_monotone(name, steps):
    times = build_schedule(name)(torch.arange(steps + 1) / steps)
    assert (times.diff() > 0).all()
    assert ((times >= 0) & (times <= 1)).all()


@pytest.mark.parametrize("name", ["quadratic", "log"])
def test_schedule_steps_shrink_towards_the_data(name):
    steps = build_schedule(name)(torch.linspace(0, 1, 51, dtype=torch.float64)).diff()
    assert (steps.diff() < 0).all()


def test_uniform_schedule_has_equal_steps():
    share = torch.linspace(0, 1, 11)
    assert torch.equal(build_schedule("uniform")(share), share)


def test_logarithmic_schedule_is_the_rescaled_logspace():
    grid = 1 - torch.logspace(-2, 0, 101, dtype=torch.float64).flip(0)
    share = torch.linspace(0, 1, 101, dtype=torch.float64)
    torch.testing.assert_close(logarithmic(share), (grid - grid[0]) / (grid[-1] - grid[0]))


def test_build_schedule_names_what_is_allowed():
    with pytest.raises(SamplerError, match=r"'cosine'.*uniform, quadratic, log"):
        build_schedule("cosine")
