from dataclasses import replace

import pytest
import torch

from models.samplers.loop import sample
from models.samplers.noise import SeededNoise
from models.samplers.prior import build_prior
from models.samplers.schedule import build_schedule
from models.samplers.state import start
from models.samplers.steps import StepConfig, build_step

SCHEDULE = build_schedule("uniform")


class Stopped(Exception):
    pass


def fresh(steps, counts=(4, 6)):
    mask = torch.arange(max(counts))[None] < torch.tensor(counts)[:, None]
    bonded = torch.zeros(*mask.shape, mask.shape[1], dtype=torch.bool)
    return start(build_prior("gaussian", 1.0), SeededNoise(range(len(counts)), counts), mask, bonded, steps)


def shrink(x, t):
    return 0.3 * x


def test_sample_calls_on_step_after_each_step():
    seen = []
    result = sample(shrink, fresh(7), build_step(StepConfig()), SCHEDULE, seen.append)
    assert [state.done.tolist() for state in seen] == [[count, count] for count in range(1, 8)]
    assert torch.equal(seen[-1].x, result)


def test_sample_stops_when_on_step_raises():
    calls = []

    def on_step(state):
        calls.append(state)
        if len(calls) == 3:
            raise Stopped

    with pytest.raises(Stopped):
        sample(shrink, fresh(7), build_step(StepConfig()), SCHEDULE, on_step)
    assert len(calls) == 3


def test_sample_runs_until_the_longest_path_is_done():
    state = replace(fresh(1), total=torch.tensor([2, 9]))
    seen = []
    sample(shrink, state, build_step(StepConfig()), SCHEDULE, seen.append)
    assert len(seen) == 9
    assert seen[-1].finished.all()


def test_sample_goes_on_from_where_the_state_is():
    step, seen = build_step(StepConfig("sde")), []
    whole = sample(shrink, fresh(9), step, SCHEDULE, seen.append)
    halfway = []

    def stop(state):
        halfway.append(state)
        if len(halfway) == 4:
            raise Stopped

    with pytest.raises(Stopped):
        sample(shrink, fresh(9), step, SCHEDULE, stop)
    assert torch.equal(sample(shrink, halfway[-1], step, SCHEDULE), whole)


def test_sample_of_a_finished_state_returns_it():
    state = fresh(3)
    state = replace(state, done=state.total)
    assert torch.equal(sample(shrink, state, build_step(StepConfig()), SCHEDULE), state.x)


@pytest.mark.parametrize("kind", ["ode", "heun"])
def test_sample_ends_on_a_constant_guess(kind):
    # A denoiser that knows the answer: every ODE path is straight, and one step is as good as many.
    data = torch.randn(2, 6, 3, dtype=torch.float64)
    data[0, 4:] = 0
    data[0, :4] -= data[0, :4].mean(0)
    data[1] -= data[1].mean(0)
    for steps in (1, 5):
        state = fresh(steps)
        state = replace(state, x=state.x.double())
        step = build_step(StepConfig(kind, quotient=False))
        torch.testing.assert_close(sample(lambda x, t: data, state, step, SCHEDULE), data)


@pytest.mark.parametrize("kind", ["ode", "heun", "sde"])
def test_sample_repeats_itself(kind):
    step = build_step(StepConfig(kind))
    first, second = (sample(shrink, fresh(6), step, SCHEDULE) for _ in range(2))
    assert torch.equal(first, second)
