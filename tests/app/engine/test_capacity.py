from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from app.engine.capacity import FULL, Capacity, _fit, calibrate
from app.engine.packing import SIZES
from models.options import SampleOptions
from models.pipeline import PAIR_BUDGET

COSTS = Capacity(overhead_s=6e-3, token_s=4e-5, pair_s=1e-6, max_pairs=PAIR_BUDGET)


@settings(max_examples=50, deadline=None)
@given(st.floats(1e-4, 1e-1), st.floats(0, 1e-3), st.floats(0, 1e-4), st.integers(1, 10**6), st.sampled_from(SIZES))
def test_full_batch_stays_within_time_and_memory_unless_it_is_one_row(overhead, token, pair, pairs, size):
    capacity = Capacity(overhead, token, pair, pairs)
    rows = capacity.rows(size)
    assert rows >= 1
    if rows > 1:
        assert rows * size**2 <= pairs
        assert capacity.step_s(rows, size) <= FULL * overhead * 1.001
        in_time = capacity.step_s(rows + 1, size) <= FULL * overhead * 0.999
        assert not (in_time and (rows + 1) * size**2 <= pairs)


def test_larger_molecules_share_smaller_batches():
    rows = [COSTS.rows(size) for size in SIZES]
    assert rows == sorted(rows, reverse=True)
    assert rows[0] > 100
    assert rows[-1] == 1


def test_draws_cost_by_steps_and_calls():
    one = COSTS.draw_s(24, SampleOptions(steps=10))
    assert COSTS.draw_s(24, SampleOptions(steps=50)) == pytest.approx(5 * one)
    assert COSTS.draw_s(24, SampleOptions(steps=10, kind="heun")) == pytest.approx(2 * one)
    assert COSTS.draw_s(24, SampleOptions(steps=10, kind="heun", guidance=2.0)) == pytest.approx(4 * one)
    assert COSTS.draw_s(48, SampleOptions(steps=10)) > 2 * one


def test_checks_count_as_much_for_a_step_as_for_many():
    slow = replace(COSTS, check_s=1e-3)
    for steps in (1, 50):
        one = SampleOptions(steps=steps)
        assert slow.draw_s(24, one) - COSTS.draw_s(24, one) == pytest.approx(24e-3)


def test_batch_that_did_not_fit_is_halved_for_good():
    smaller = COSTS.halved(16, 48)
    assert smaller.rows(48) == 8
    assert smaller.halved(100, 48).max_pairs == smaller.max_pairs


@settings(max_examples=30, deadline=None)
@given(st.floats(1e-3, 1e-1), st.floats(1e-6, 1e-3), st.floats(1e-7, 1e-4))
def test_costs_are_found_from_times(overhead, token, pair):
    rows, size = np.array([1.0, 32, 1, 8]), np.array([16.0, 16, 64, 64])
    design = np.stack((np.ones(4), rows * size, rows * size**2), axis=1)
    seconds = design @ [overhead, token, pair]
    np.testing.assert_allclose(_fit(design / seconds[:, None]), [overhead, token, pair], rtol=1e-5)


def test_costs_are_never_negative():
    rows, size = np.array([1.0, 32, 1, 8]), np.array([16.0, 16, 64, 64])
    design = np.stack((np.ones(4), rows * size, rows * size**2), axis=1)
    found = _fit(design / np.array([5.0, 4.0, 6.0, 3.0])[:, None])  # larger batches were faster
    assert min(found) >= 0
    assert found[0] > 0


def test_calibration_times_steps_of_the_model(model, network, ticket):
    molecule = ticket("CCO").molecules[0]
    ticks = iter(range(10_000))
    capacity = calibrate(model, molecule, lambda: float(next(ticks)))
    assert {len(rows) for rows in network.batches} == {1, 32, 8}
    assert capacity.check_s == pytest.approx(1 / (8 * 9))  # so did checking eight structures of nine atoms
    assert capacity.step_s(1, 16) == pytest.approx(1.0)  # every step took one tick
    assert (capacity.token_s, capacity.pair_s) == (0.0, 0.0)
    assert capacity.max_pairs == PAIR_BUDGET


@pytest.mark.gpu
def test_calibration_measures_memory_on_a_gpu(ticket, network):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    from pathlib import Path

    from models.weights import load_model

    model = load_model("molecules-small", Path("weights"), torch.device("cuda"))
    capacity = calibrate(model, ticket("CCO").molecules[0])
    assert capacity.max_pairs > PAIR_BUDGET
