import pytest

from app.engine import stats
from app.engine.stats import EngineStats, Meter


@pytest.fixture
def clock(monkeypatch):
    """Time that a test sets."""
    now = [1000.0]
    monkeypatch.setattr(stats, "monotonic", lambda: now[0])
    return now


def test_rate_is_that_of_the_last_half_minute(clock):
    meter = Meter()
    for _ in range(600):
        clock[0] += 0.1
        meter.settle(2, [None, None])
    assert meter.conformers_per_s == pytest.approx(20, rel=0.02)
    assert meter.conformers == 1200
    clock[0] += 300
    assert meter.conformers_per_s < 0.01


def test_rate_is_right_from_the_beginning(clock):
    meter = Meter()
    for _ in range(20):
        clock[0] += 0.1
        meter.settle(1, [None])
    assert meter.conformers_per_s == pytest.approx(10, rel=0.05)


def test_faults_are_counted_by_reason():
    meter = Meter()
    meter.settle(1, [None, "clash", "clash", "wrong_stereo"])
    assert (meter.conformers, meter.faults) == (1, {"clash": 2, "wrong_stereo": 1})


def test_averages_begin_at_the_first_step_and_follow():
    meter = Meter()
    meter.step(0.2, 0.1, 0.5)
    assert (meter.steps, meter.step_s, meter.fill, meter.pace) == (1, 0.2, 0.5, 2.0)
    for _ in range(100):
        meter.step(0.1, 0.1, 1.0)
    assert meter.step_s == pytest.approx(0.1, rel=1e-3)
    assert meter.fill == pytest.approx(1.0, rel=1e-3)
    assert meter.pace == pytest.approx(1.0, rel=1e-3)


def test_numbers_of_an_engine_that_loads_are_zero():
    empty = EngineStats()
    assert (empty.state, empty.waiting_tickets, empty.steps, dict(empty.faults)) == ("loading", 0, 0, {})
