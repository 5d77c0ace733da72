import threading
import time
from types import SimpleNamespace

import pytest

from app.engine.engine import Engine, EngineError
from app.engine.ticket import Ticket
from models.data.guess import guess_all
from models.errors import WeightsError
from models.options import SampleOptions

PATIENCE_S = 60
MODEL = SimpleNamespace(name="stub", device="cpu")


class Sampler:
    """Stands for `generate`: remembers its calls, waits while it is held, fails at the molecules named `bad`."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.guessers: list[object] = []
        self.free = threading.Event()
        self.free.set()
        self.busy = threading.Event()

    def __call__(self, model, molecules, counts, seeds, options, should_stop=lambda: False, guesser=None):
        self.calls.append(list(molecules))
        self.guessers.append(guesser)
        self.busy.set()
        stopped = False
        while not self.free.wait(0.002):
            if should_stop():
                stopped = True
                break
        if "bad" in molecules:
            raise RuntimeError("bad molecule")
        answers = zip(molecules, counts, seeds, strict=True)
        return [
            SimpleNamespace(molecule=SimpleNamespace(smiles=m), made=(m, n, s), stopped=stopped) for m, n, s in answers
        ]


@pytest.fixture
def sampler(monkeypatch):
    stub = Sampler()
    monkeypatch.setattr("app.engine.engine.generate", stub)
    return stub


@pytest.fixture
def engine(sampler, patient):
    """A ready engine whose sampler is held, with one ticket in it."""
    engine = Engine(lambda: MODEL, lambda: "probe", 3)
    engine.start()
    patient(lambda: engine.ready)
    sampler.free.clear()
    sampler.busy.clear()
    yield engine
    sampler.free.set()
    engine.close()


def ticket(*molecules, seed=0, deadline=float("inf"), **options):
    count = len(molecules)
    return Ticket(list(molecules), [1] * count, [seed] * count, SampleOptions(**options), deadline)


def occupy(engine, sampler):
    """A ticket that holds the sampler."""
    first = ticket("first")
    engine.submit(first)
    assert sampler.busy.wait(PATIENCE_S)
    return first


def made(ticket):
    return [answer.made for answer in ticket.future.result(PATIENCE_S)]


def test_engine_is_ready_only_after_a_sample(sampler, patient):
    sampler.free.clear()
    engine = Engine(lambda: MODEL, lambda: "probe", 3)
    engine.start()
    assert sampler.busy.wait(PATIENCE_S)
    assert (engine.state, engine.ready) == ("loading", False)
    with pytest.raises(EngineError, match="still being loaded") as caught:
        engine.submit(ticket("a"))
    assert (caught.value.reason, caught.value.retry_after_s) == ("loading", 3)
    sampler.free.set()
    patient(lambda: engine.ready)
    assert sampler.calls == [["probe"]]
    engine.close()


def broken_load():
    raise WeightsError("no such weights")


@pytest.mark.parametrize(
    ("load", "probe", "words"),
    [(broken_load, "probe", "no such weights"), (lambda: MODEL, "bad", "log says why")],
)
def test_engine_that_cannot_sample_says_why(sampler, patient, load, probe, words):
    engine = Engine(load, lambda: probe, 3)
    engine.start()
    patient(lambda: engine.state != "loading")
    assert (engine.state, engine.ready) == ("failed", False)
    assert words in engine.detail
    with pytest.raises(EngineError, match=words) as caught:
        engine.check_open()
    assert caught.value.reason == "unavailable"
    assert caught.value.retry_after_s > 0
    engine.close()


def test_full_engine_refuses_and_says_when_to_come_back(engine, sampler):
    tickets = [occupy(engine, sampler)]
    for name in "abc":
        tickets.append(ticket(name))
        engine.submit(tickets[-1])
    with pytest.raises(EngineError, match="3 requests are waiting; at most 3 may") as caught:
        engine.submit(ticket("d"))
    assert caught.value.reason == "overloaded"
    assert isinstance(caught.value.retry_after_s, int)
    assert caught.value.retry_after_s >= 1
    sampler.free.set()
    assert [made(t)[0][0] for t in tickets] == ["first", "a", "b", "c"]
    engine.check_open()


def test_tickets_with_equal_options_share_a_call_and_get_their_own_answers(engine, sampler):
    occupy(engine, sampler)
    one, two, three = ticket("a", "b", seed=5), ticket("c", seed=6), ticket("d", "e", seed=7)
    for each in (one, two, three):
        engine.submit(each)
    sampler.free.set()
    assert made(one) == [("a", 1, 5), ("b", 1, 5)]
    assert made(two) == [("c", 1, 6)]
    assert made(three) == [("d", 1, 7), ("e", 1, 7)]
    assert sampler.calls[-1] == ["a", "b", "c", "d", "e"]
    assert all(each.started is not None for each in (one, two, three))


def test_tickets_with_other_options_do_not_share_a_call(engine, sampler):
    occupy(engine, sampler)
    one, two, three = ticket("a"), ticket("b", steps=7), ticket("c")
    for each in (one, two, three):
        engine.submit(each)
    sampler.free.set()
    assert [made(t)[0][0] for t in (one, two, three)] == ["a", "b", "c"]
    assert sampler.calls[-2:] == [["a", "c"], ["b"]]


@pytest.mark.parametrize("other", [{}, {"start": "etkdg", "start_time": 0.7}, {"start": "mmff94s", "start_time": 0.8}])
def test_tickets_with_another_start_do_not_share_a_call(engine, sampler, other):
    occupy(engine, sampler)
    warm = {"start": "etkdg", "start_time": 0.8}
    tickets = [ticket("a", **warm), ticket("b", **other), ticket("c", **warm)]
    for each in tickets:
        engine.submit(each)
    sampler.free.set()
    assert [made(t)[0][0] for t in tickets] == ["a", "b", "c"]
    assert sampler.calls[-2:] == [["a", "c"], ["b"]]


def test_each_call_has_its_own_guesser(sampler, patient):
    guessers = iter("xyz")
    engine = Engine(lambda: MODEL, lambda: "probe", 3, lambda: next(guessers))
    engine.start()
    patient(lambda: engine.ready)
    for name in "ab":
        each = ticket(name)
        engine.submit(each)
        made(each)
    assert sampler.guessers[-2:] == ["x", "y"]
    engine.close()


def test_engine_guesses_in_its_own_process_unless_told_otherwise(engine, sampler):
    sampler.free.set()
    first = ticket("a")
    engine.submit(first)
    made(first)
    assert sampler.guessers[-1] is guess_all


def test_failure_of_a_ticket_is_not_felt_by_those_beside_it(engine, sampler):
    occupy(engine, sampler)
    one, broken, two = ticket("a"), ticket("bad"), ticket("b")
    for each in (one, broken, two):
        engine.submit(each)
    sampler.free.set()
    assert made(one) == [("a", 1, 0)]
    assert made(two) == [("b", 1, 0)]
    with pytest.raises(RuntimeError, match="bad molecule"):
        broken.future.result(PATIENCE_S)
    assert engine.ready


def test_cancelled_ticket_stops_the_work(engine, sampler):
    first = occupy(engine, sampler)
    assert not first.future.done()
    first.cancel()
    (answer,) = first.future.result(PATIENCE_S)
    assert answer.stopped
    assert engine.ready


def test_late_ticket_stops_the_work(engine, sampler):
    late = ticket("a", deadline=time.monotonic() + 0.1)
    engine.submit(late)
    (answer,) = late.future.result(PATIENCE_S)
    assert answer.stopped


def test_cancelled_ticket_does_not_stop_those_beside_it(engine, sampler):
    first = occupy(engine, sampler)
    one, two = ticket("a"), ticket("b")
    for each in (one, two):
        engine.submit(each)
    sampler.busy.clear()
    first.cancel()
    assert sampler.busy.wait(PATIENCE_S)
    one.cancel()
    time.sleep(0.05)
    assert not two.future.done()
    sampler.free.set()
    (answer,) = two.future.result(PATIENCE_S)
    assert not answer.stopped


def test_tickets_that_nobody_waits_for_do_not_count(engine, sampler):
    occupy(engine, sampler)
    tickets = [ticket(name) for name in "abc"]
    for each in tickets:
        engine.submit(each)
    with pytest.raises(EngineError):
        engine.check_open()
    tickets[0].cancel()
    engine.check_open()
    with pytest.raises(EngineError, match="3 requests are waiting"):
        engine.check_open(before=1)


def test_ticket_whose_caller_has_gone_is_not_sampled(engine, sampler):
    occupy(engine, sampler)
    gone, other = ticket("gone"), ticket("other")
    engine.submit(gone)
    engine.submit(other)
    gone.cancel()
    sampler.free.set()
    assert made(other) == [("other", 1, 0)]
    assert ["gone"] not in sampler.calls


def test_ticket_that_was_given_up_is_not_sampled(engine, sampler):
    occupy(engine, sampler)
    gone, other = ticket("gone"), ticket("other")
    engine.submit(gone)
    engine.submit(other)
    assert gone.future.cancel()
    sampler.free.set()
    assert made(other) == [("other", 1, 0)]
    assert sampler.calls[-1] == ["other"]


def test_close_stops_the_work_and_answers_those_who_wait(engine, sampler):
    first = occupy(engine, sampler)
    waiting = [ticket("a"), ticket("b", steps=7)]
    for each in waiting:
        engine.submit(each)
    engine.close()
    (answer,) = first.future.result(PATIENCE_S)
    assert answer.stopped
    for each in waiting:
        with pytest.raises(EngineError, match="shutting down"):
            each.future.result(PATIENCE_S)
    assert (engine.state, engine.ready) == ("closed", False)
    with pytest.raises(EngineError) as caught:
        engine.submit(ticket("late"))
    assert caught.value.reason == "unavailable"


def test_close_answers_those_who_wait_beside_one_who_gave_up(engine, sampler):
    occupy(engine, sampler)
    gone, other = ticket("gone"), ticket("other")
    engine.submit(gone)
    engine.submit(other)
    assert gone.future.cancel()
    engine.close()
    with pytest.raises(EngineError, match="shutting down"):
        other.future.result(5)


def test_engine_that_was_never_started_can_be_closed():
    Engine(lambda: MODEL, lambda: "probe", 3).close()
