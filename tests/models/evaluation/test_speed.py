import itertools
import time

import pytest

from models.evaluation.speed import StepCost, measure_step


@pytest.fixture
def model(model_of, tiny_config, shaken):
    return model_of(shaken(tiny_config()))


def test_cost_gives_conformers_per_second():
    assert StepCost(18, 64, 0.5, 0.01).conformers_per_s(50) == pytest.approx(2.56)


def test_step_and_projection_are_timed_apart(model, molecule_of):
    times = itertools.accumulate(itertools.cycle([10.0, 3.0, 0.5]))  # between steps, a step, a projection
    cost = measure_step(model, molecule_of("CCO"), 3, 4, lambda: next(times))
    assert (cost.atoms, cost.batch) == (9, 3)
    assert (cost.step_s, cost.projection_s) == (3.0, 0.5)


def test_median_counts_and_the_first_steps_do_not(model, molecule_of):
    steps = [100.0, 50.0, 1.0, 9.0, 2.0]  # the first two warm up
    times = itertools.accumulate(part for step in steps for part in (0.0, step, step / 10))
    cost = measure_step(model, molecule_of("C"), 1, 3, lambda: next(times))
    assert cost.step_s == pytest.approx(2.0)
    assert cost.projection_s == pytest.approx(0.2)


def test_real_clock_gives_positive_times(model, molecule_of):
    cost = measure_step(model, molecule_of("CCO"), 2, 2, time.perf_counter)
    assert cost.step_s > 0
    assert cost.projection_s > 0
    assert cost.conformers_per_s(50) > 0
