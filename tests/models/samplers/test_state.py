from dataclasses import replace

import pytest
import torch

from models.geometry.alignment import kabsch
from models.geometry.quotient import centre
from models.samplers.noise import SeededNoise
from models.samplers.prior import build_prior
from models.samplers.schedule import build_schedule
from models.samplers.state import advance, start
from models.samplers.steps import StepConfig, build_step

SCHEDULE = build_schedule("quadratic")
every_kind = pytest.mark.parametrize("kind", ["ode", "heun", "sde"])


def toy(x, t):
    """Smooth, with values that depend on t, and zero where x is: it needs no mask."""
    return (0.5 + t[:, None, None]) * torch.sin(x)


def fresh(counts, steps, seeds, dtype=torch.float64):
    size = max(counts)
    mask = torch.arange(size)[None] < torch.tensor(counts)[:, None]
    bonded = torch.zeros(len(counts), size, size, dtype=torch.bool)
    state = start(build_prior("gaussian", 1.0), SeededNoise(seeds, counts), mask, bonded, steps)
    return replace(state, x=state.x.to(dtype))


def run(state, step, times):
    for _ in range(times):
        state = advance(state, toy, step, SCHEDULE)
    return state


def test_start_is_the_prior_of_the_first_draw():
    state = fresh([3, 5], 10, [1, 2], torch.float32)
    first = SeededNoise([1, 2], [3, 5]).draw(torch.zeros(2, 5, 3))
    torch.testing.assert_close(state.x, build_prior("gaussian", 1.0)(first, state.mask, torch.zeros(2, 5, 5)))
    assert state.done.tolist() == [0, 0]
    assert state.total.tolist() == [10, 10]
    assert len(state) == 2


@every_kind
def test_advance_ends_each_item_after_its_own_total(kind):
    step = build_step(StepConfig(kind))
    state = fresh([4, 4, 4], 3, [1, 2, 3])
    state = replace(state, total=torch.tensor([3, 1, 6]))
    for count in range(1, 7):
        state = advance(state, toy, step, SCHEDULE)
        assert state.done.tolist() == [min(count, total) for total in (3, 1, 6)]
        assert state.finished.tolist() == [count >= total for total in (3, 1, 6)]


@every_kind
@pytest.mark.parametrize("quotient", [True, False])
def test_finished_items_stay_exactly_where_they_are(kind, quotient):
    step = build_step(StepConfig(kind, quotient))
    state = replace(fresh([4, 6], 2, [1, 2]), total=torch.tensor([2, 9]))
    state = run(state, step, 2)
    later = run(state, step, 7)
    assert torch.equal(later.x[0], state.x[0])
    assert not torch.equal(later.x[1], state.x[1])
    assert later.x.isfinite().all()


@every_kind
def test_items_with_different_totals_equal_runs_alone(kind):
    step = build_step(StepConfig(kind))
    mixed = replace(fresh([4, 6], 1, [1, 2]), total=torch.tensor([5, 12]))
    mixed = run(mixed, step, 12)
    torch.testing.assert_close(mixed.x[:1, :4], run(fresh([4], 5, [1]), step, 5).x)
    torch.testing.assert_close(mixed.x[1:], run(fresh([6], 12, [2]), step, 12).x)


@every_kind
@pytest.mark.parametrize("counts", [(5, 9), (9, 5)])
def test_join_at_step_17_equals_running_alone(kind, counts):
    first, second = counts
    step = build_step(StepConfig(kind))
    running = run(fresh([first], 40, [11]), step, 17)
    joined = run(running.join(fresh([second, second], 30, [12, 13])), step, 30)
    assert joined.finished.all()
    torch.testing.assert_close(joined.x[:1, :first], run(fresh([first], 40, [11]), step, 40).x)
    torch.testing.assert_close(joined.x[1:, :second], run(fresh([second, second], 30, [12, 13]), step, 30).x)
    assert (joined.x[~joined.mask] == 0).all()


def test_join_keeps_order_and_pads():
    left, right = fresh([2, 3], 5, [1, 2]), fresh([6], 8, [3])
    both = left.join(right)
    assert both.x.shape == (3, 6, 3)
    assert torch.equal(both.x[:2, :3], left.x)
    assert torch.equal(both.x[2:], right.x)
    assert both.mask.sum(1).tolist() == [2, 3, 6]
    assert both.total.tolist() == [5, 5, 8]
    assert both.noise.counts == [2, 3, 6]


def test_take_keeps_order_and_streams():
    step = build_step(StepConfig("sde"))
    state = replace(fresh([3, 4, 5], 6, [1, 2, 3]), total=torch.tensor([6, 7, 8]))
    state = run(state, step, 2)
    some = state.take(torch.tensor([2, 0]))
    assert torch.equal(some.x, state.x[[2, 0]])
    assert some.mask.sum(1).tolist() == [5, 3]
    assert some.total.tolist() == [8, 6]
    assert some.done.tolist() == [2, 2]
    alone = run(fresh([5], 8, [3]), step, 8)
    torch.testing.assert_close(run(some, step, 6).x[:1], alone.x)


def test_take_of_unfinished_items_goes_on_alone():
    step = build_step(StepConfig("sde"))
    state = run(replace(fresh([4, 4], 3, [1, 2]), total=torch.tensor([3, 10])), step, 3)
    left = state.take((~state.finished).nonzero()[:, 0])
    assert len(left) == 1
    torch.testing.assert_close(run(left, step, 7).x, run(fresh([4], 10, [2]), step, 10).x)


def warm(counts, seeds, begin, coupled=True, steps=4):
    size = max(counts)
    mask = torch.arange(size)[None] < torch.tensor(counts)[:, None]
    bonded = torch.zeros(len(counts), size, size, dtype=torch.bool)
    guess = SeededNoise([9] * len(counts), counts).draw(torch.zeros(len(counts), size, 3)) + 4.0 * mask.unsqueeze(-1)
    prior = build_prior("gaussian", 1.0)
    state = start(prior, SeededNoise(seeds, counts), mask, bonded, steps, guess, begin, coupled)
    return state, centre(guess, mask), start(prior, SeededNoise(seeds, counts), mask, bonded, steps).x


def test_warm_start_lies_between_prior_and_guess():
    state, guess, noise = warm([4, 7], [1, 2], 0.7, coupled=False)
    torch.testing.assert_close(state.x, 0.3 * noise + 0.7 * guess)
    assert state.begin.tolist() == pytest.approx([0.7, 0.7])
    assert not state.x[~state.mask].any()


def test_warm_start_at_time_0_is_the_path_from_noise_to_the_bit():
    step = build_step(StepConfig("heun"))
    begun, _, noise = warm([4, 7], [1, 2], 0.0, coupled=False)
    assert torch.equal(begun.x, noise)
    cold = fresh([4, 7], 4, [1, 2], torch.float32)
    assert torch.equal(run(begun, step, 4).x, run(cold, step, 4).x)


def test_coupled_warm_start_turns_the_prior_sample_onto_the_guess():
    state, guess, noise = warm([4, 7], [1, 2], 0.7)
    turned = (state.x - 0.7 * guess) / 0.3
    for x in (turned, noise):
        torch.testing.assert_close(x.norm(dim=-1), noise.norm(dim=-1), atol=1e-5, rtol=1e-5)
    closeness = [(x - guess).square().sum((1, 2)) for x in (turned, noise)]
    assert (closeness[0] < closeness[1] - 1e-3).all()
    turn = kabsch(turned, guess, state.mask)
    torch.testing.assert_close(turn, torch.eye(3).expand(2, 3, 3), atol=1e-4, rtol=0)


def test_steps_of_a_warm_start_span_what_is_left():
    times = []

    def watch(x, t):
        times.append(t.tolist())
        return torch.zeros_like(x)

    state, _, _ = warm([4], [1], 0.6)
    for _ in range(4):
        state = advance(state, watch, build_step(StepConfig("ode")), build_schedule("uniform"))
    assert [t for (t,) in times] == pytest.approx([0.6, 0.7, 0.8, 0.9])
    assert state.x.abs().max() < 1e-6  # the last step lands on the guess of the denoiser


def test_cold_and_warm_items_share_a_batch_and_leave_it():
    step, schedule = build_step(StepConfig("ode")), build_schedule("uniform")
    first, second = warm([4, 7], [1, 2], 0.7)[0], fresh([9], 4, [3], torch.float32)

    def run_all(state):
        for _ in range(4):
            state = advance(state, toy, step, schedule)
        return state

    apart = [run_all(first), run_all(second)]
    both = run_all(first.join(second))
    assert both.begin.tolist() == pytest.approx([0.7, 0.7, 0.0])
    torch.testing.assert_close(both.x[:2, :7], apart[0].x)
    torch.testing.assert_close(both.x[2:], apart[1].x)
    assert both.take(torch.tensor([2, 0])).begin.tolist() == pytest.approx([0.0, 0.7])
