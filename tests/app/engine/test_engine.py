"""The door and the watchdog."""

import threading
import time

import pytest

from app.engine.engine import Engine, EngineError
from app.engine.packing import size_of
from models.errors import WeightsError
from models.options import SampleOptions

PATIENCE_S = 300  # for machines with other work


def answer(ticket):
    return ticket.future.result(PATIENCE_S)


def reasons(ensemble):
    return {problem.reason: problem.count for problem in ensemble.problems}


def test_engine_is_ready_only_after_a_sample(build, network, ticket, patient):
    network.free.clear()
    engine = build(ready=False)
    assert network.busy.wait(PATIENCE_S)
    assert (engine.state, engine.ready) == ("loading", False)
    with pytest.raises(EngineError, match="still being loaded") as caught:
        engine.submit(ticket("C"))
    assert (caught.value.reason, caught.value.retry_after_s) == ("loading", 3)
    network.free.set()
    patient(lambda: engine.ready)
    assert engine.detail == "a sample was made"


def test_engine_measures_its_capacity(model, patient, ticket):
    engine = Engine(lambda: model, lambda: ticket("C").molecules[0], 3)
    engine.start()
    patient(lambda: engine.ready)
    assert engine.served["main"].capacity.overhead_s > 0
    engine.close()


def test_engine_without_weights_says_why(patient, ticket):
    def load():
        raise WeightsError("no such weights")

    engine = Engine(load, lambda: None, 3)
    engine.start()
    patient(lambda: engine.state != "loading")
    assert (engine.state, engine.ready, engine.detail) == ("failed", False, "no such weights")
    with pytest.raises(EngineError, match="no such weights") as caught:
        engine.check_open()
    assert caught.value.reason == "unavailable"
    assert caught.value.retry_after_s > 0
    engine.close()


def test_engine_that_cannot_sample_says_where_to_look(build, network, patient):
    network.breaks = lambda counts: RuntimeError("no device")
    engine = build(ready=False)
    patient(lambda: engine.state != "loading")
    assert engine.state == "failed"
    assert "log says why" in engine.detail


def test_full_engine_refuses_and_says_when_to_come_back(build, network, ticket, hold):
    engine = build(max_waiting=3)
    tickets = [hold(engine, ticket("C"))]
    for smiles in ("CC", "CCO", "CO"):
        tickets.append(ticket(smiles))
        engine.submit(tickets[-1])
    with pytest.raises(EngineError, match="3 requests are waiting; at most 3 may") as caught:
        engine.submit(ticket("CN"))
    assert caught.value.reason == "overloaded"
    assert isinstance(caught.value.retry_after_s, int)
    assert caught.value.retry_after_s >= 1
    engine.submit(job := ticket("CN", priority=-1))  # its submitter bounds how many there are
    tickets[1].cancel()
    engine.check_open()  # who has gone does not count
    with pytest.raises(EngineError, match="3 requests are waiting"):
        engine.check_open(before=1)
    network.free.set()
    assert [answer(t)[0].status for t in (tickets[0], *tickets[2:], job)] == ["ok"] * 4
    engine.check_open()


def test_time_of_work_is_estimated_from_the_pace_of_the_start(build):
    engine = build()
    options = SampleOptions(steps=10)
    one = engine.estimate_s("main", [9], 1, options)
    assert one == engine.served["main"].capacity.draw_s(size_of(9), options) > 0
    assert engine.estimate_s("main", [9, 9], 5, options) == pytest.approx(10 * one)
    assert engine.estimate_s("main", [90], 1, options) > one


def test_time_to_come_back_follows_the_work_that_waits(build, network, ticket, hold):
    engine = build()
    few = engine.retry_after_s()
    hold(engine, large := ticket("CCO", count=1000, steps=1000))
    many = engine.retry_after_s()
    assert (few, many) == (1, 600) or few < many <= 600
    large.cancel()


def test_numbers_tell_what_happens(build, network, ticket, hold):
    engine = build()
    idle = engine.stats()
    assert (idle.state, idle.waiting_tickets, idle.running_rows, idle.left_s) == ("ready", 0, 0, 0)
    assert idle.heartbeat_age_s < 60
    first = hold(engine, ticket("CCO", count=100, steps=2))
    engine.submit(second := ticket("CCN"))
    busy = engine.stats()
    assert (busy.waiting_tickets, busy.running_tickets, busy.batches) == (2, 1, 1)
    assert busy.running_rows == engine.served["main"].capacity.rows(16)
    assert busy.waiting_draws == 100 - busy.running_rows
    assert busy.left_s > 0
    network.free.set()
    answer(first), answer(second)
    assert (first.made, second.made) == (100, 1)
    end = engine.stats()
    assert (end.conformers, end.faults, end.waiting_tickets, end.left_s) == (101, {}, 0, 0)
    assert end.steps >= 4
    assert end.step_s > 0
    assert 0 < end.batch_fill <= 1
    assert end.conformers_per_s > 0


def test_failed_draws_are_counted_by_reason(build, network, ticket):
    network.spoils = lambda x: True
    engine = build()
    engine.submit(one := ticket("CCO", rounds=2))
    assert reasons(answer(one)[0]) == {"broken_bond": 1}
    assert one.made == 0
    assert engine.stats().faults == {"broken_bond": 2}
    assert engine.stats().conformers == 0


@pytest.fixture
def pass_time(monkeypatch):
    """Puts forward the clock of engines and their workers, s; it goes on at its usual pace."""
    leaps = []
    for room in ("engine", "worker"):
        monkeypatch.setattr(f"app.engine.{room}.monotonic", lambda: time.monotonic() + sum(leaps))
    return leaps.append


def test_stuck_worker_is_not_ready_and_is_replaced(build, network, ticket, hold, patient, pass_time):
    engine = build(stuck_after_s=3600.0)
    one, other = hold(engine, ticket("CCO", steps=2)), ticket("CCN", steps=2)
    engine.submit(other)
    pass_time(3000)
    assert (engine.state, engine.ready) == ("ready", True)
    with engine._lock:  # the watchdog needs it to replace the worker
        pass_time(1000)
        assert (engine.state, engine.ready) == ("stuck", False)
        assert "3600 s" in engine.detail
        with pytest.raises(EngineError, match="a step has taken more than"):
            engine.submit(ticket("C"))
    patient(lambda: engine.stats().restarts)
    network.free.set()
    assert [answer(each)[0].status for each in (one, other)] == ["ok", "ok"]
    assert (engine.stats().restarts, engine.ready) == (1, True)


def test_dead_worker_is_replaced_and_its_work_done_again(build, network, ticket, patient):
    engine = build()
    deaths = iter([SystemExit("killed")])
    network.breaks = lambda counts: next(deaths, None) if 9 in counts else None
    one = ticket("CCO", count=3)
    engine.submit(one)
    (made,) = answer(one)
    assert (made.status, made.attempts) == ("ok", 3)
    assert one.made == 3
    assert engine.stats().restarts == 1
    assert engine.ready


def test_dead_clerk_is_replaced_too(build, network, ticket, hold, patient):
    engine = build()
    one = hold(engine, ticket("CCO", count=3))

    def die(worker):
        raise SystemExit("killed")

    engine._inbox.put(die)
    patient(lambda: engine.stats().restarts == 1)
    network.free.set()
    assert answer(one)[0].status == "ok"
    engine.submit(later := ticket("CCN"))
    assert answer(later)[0].status == "ok"
    assert engine.ready


def test_molecule_that_kills_the_worker_twice_is_given_up(build, network, ticket, patient):
    engine = build()
    network.breaks = lambda counts: SystemExit("killed") if 9 in counts else None
    told = []
    bad, good = ticket("CCO", count=3, on_molecule=lambda k, e: told.append(e)), ticket("C", priority=-1)
    for each in (bad, good):
        engine.submit(each)
    (made,) = answer(bad)
    assert reasons(made) == {"sampler_lost": 3}
    assert told == [made]
    assert answer(good)[0].status == "ok"
    assert engine.stats().restarts == 2
    patient(lambda: engine.ready)


def test_device_that_fails_at_every_step_ends_the_readiness(build, network, ticket, hold, patient):
    engine = build()
    tickets = [hold(engine, ticket("CCO"))]
    for k in range(150):
        tickets.append(ticket("CCO", seed=k))
        engine.submit(tickets[-1])
    network.breaks = lambda counts: RuntimeError("illegal memory access")
    network.free.set()
    patient(lambda: engine.state == "failed")
    patient(lambda: all(each.future.done() for each in tickets))
    with pytest.raises(EngineError, match="broke down again and again"):
        engine.submit(ticket("C"))


def test_close_drains_within_its_time(build, network, ticket, hold):
    engine = build(drain_s=60.0)
    first = hold(engine, ticket("CCO", count=5))
    engine.submit(second := ticket("CCN"))
    closing = threading.Thread(target=engine.close)
    closing.start()
    while engine.state == "ready":
        time.sleep(0.01)
    assert engine.state == "closing"
    with pytest.raises(EngineError, match="shutting down"):
        engine.submit(ticket("C"))
    network.free.set()
    closing.join(PATIENCE_S)
    assert [answer(each)[0].status for each in (first, second)] == ["ok", "ok"]
    assert (engine.state, engine.ready) == ("closed", False)


def test_close_gives_back_what_is_not_done_in_time(build, network, ticket, hold, patient):
    engine = build(drain_s=0.0)
    told = []
    first = hold(engine, ticket("CCO", count=5, steps=900, on_molecule=lambda k, e: told.append(k)))
    waiting = [ticket("CCN"), ticket("CCN", kind="heun")]
    for each in waiting:
        engine.submit(each)
    gone = ticket("CCO")
    engine.submit(gone)
    assert gone.future.cancel()
    closing = threading.Thread(target=engine.close)
    closing.start()
    patient(lambda: engine._worker.end_at is not None)
    network.free.set()
    closing.join(PATIENCE_S)
    assert reasons(answer(first)[0]) == {"stopped": 5}
    assert told == []  # a job store shall do it again
    for each in waiting:
        with pytest.raises(EngineError, match="shutting down"):
            answer(each)
    with pytest.raises(EngineError) as caught:
        engine.submit(ticket("C"))
    assert caught.value.reason == "unavailable"


def test_engine_that_was_never_started_can_be_closed(model):
    engine = Engine(lambda: model, lambda: None, 3)
    engine.close()
    assert engine.state == "closed"


def test_closed_engine_leaves_no_threads(build, network, ticket, patient):
    before = set(threading.enumerate())
    engine = build()
    deaths = iter([SystemExit("killed")])
    network.breaks = lambda counts: next(deaths, None)
    engine.submit(one := ticket("CCO", start="etkdg", start_time=0.8))
    assert answer(one)[0].status == "ok"
    assert {thread.name for thread in set(threading.enumerate()) - before} >= {"engine", "clerk", "watchdog"}
    engine.close()
    patient(lambda: not set(threading.enumerate()) - before)
