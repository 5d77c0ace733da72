import os
import signal
import threading
import time
from functools import partial
from types import SimpleNamespace

import pytest

from app.intake.child import Child
from app.intake.job import Job, Loss


class Call(Job):
    """Calls a function of the standard library in the child; a loss is answered as it is."""

    def __init__(self, function, patience=60.0):
        self.function, self.least = function, patience

    def __reduce__(self):
        return partial(SimpleNamespace, run=self.function), ()

    @property
    def patience(self):
        return self.least

    def run(self):
        raise AssertionError("only what is sent is run")

    def lost(self, loss):
        return loss


@pytest.fixture(scope="module")
def child():
    child = Child(1000)
    yield child
    child.kill()


def test_child_does_any_job(child):
    assert child.ask(Call(partial(divmod, 17, 5)), 1.0) == (3, 2)
    assert child.ask(Call(os.getpid), 1.0) != os.getpid()


@pytest.fixture
def leisure(monkeypatch):
    """On a busy machine a little processor time takes long."""
    monkeypatch.setattr("app.intake.child._WALL", 600.0)


@pytest.mark.parametrize(
    ("job", "loss"),
    [
        (Call(partial(int, "x")), Loss("error", "ValueError: invalid literal for int() with base 10: 'x'")),
        (Call(partial(bytes, 2**33)), Loss("memory", "1000 MB")),
        (Call(partial(os._exit, 3)), Loss("died")),
        (Call(partial(time.sleep, 600), patience=0.25), Loss("late", "2 s")),
    ],
    ids=lambda value: value.reason if isinstance(value, Loss) else "",
)
def test_child_says_how_a_job_was_lost_and_does_the_next(child, job, loss):
    assert child.ask(job, 2.0) == loss
    assert child.ask(Call(partial(max, 3, 4)), 1.0) == 4


def test_job_is_done_once_more_when_its_process_was_killed_from_outside(child):
    assert child.ask(Call(partial(signal.raise_signal, signal.SIGKILL)), 2.0) == Loss("died", "killed from outside")
    first, slow = child.ask(Call(os.getpid), 1.0), []
    killer = threading.Timer(0.3, os.kill, (first, signal.SIGKILL))
    killer.start()
    assert child.ask(Call(partial(time.sleep, 0.6)), 2.0, 0.1, lambda: slow.append("slow")) is None
    killer.join()
    assert child.ask(Call(os.getpid), 1.0) != first
    assert slow == ["slow"]


def test_child_ends_by_itself_what_takes_too_much_processor_time(child, leisure):
    forever = partial(pow, 7, 10**9)  # never gives Python a turn
    assert child.ask(Call(forever, patience=0.25), 2.0) == Loss("late", "0.5 s")
    assert child.ask(Call(partial(max, 3, 4)), 1.0) == 4


def test_processor_time_of_a_job_is_its_own(child, leisure):
    for _ in range(4):  # together they take more than one may
        assert child.ask(Call(partial(sum, range(4_000_000)), patience=1.0), 0.4) == 7999998000000


def test_child_says_that_a_job_is_slow_while_it_goes_on(child):
    said = []
    assert child.ask(Call(partial(time.sleep, 0.4)), 1.0, 0.1, lambda: said.append("slow")) is None
    assert said == ["slow"]
    assert child.ask(Call(os.getpid), 1.0, 60.0, lambda: said.append("again")) > 0
    assert said == ["slow"]


def test_child_counts_the_jobs_of_its_process(child):
    before = child.jobs
    child.ask(Call(os.getpid), 1.0)
    assert child.jobs == before + 1
    assert child.ask(Call(partial(os._exit, 3)), 1.0) == Loss("died")
    assert child.jobs == 0


def test_child_that_was_ended_for_good_says_so():
    child = Child(1000)
    child.spawn()
    child.kill()
    assert child.ask(Call(os.getpid), 1.0) == Loss("unavailable")


def test_child_that_loads_slowly_goes_on_loading(monkeypatch):
    child = Child(1000)
    with monkeypatch.context() as patch:
        patch.setattr("app.intake.child._START_TIMEOUT_S", 0.0)
        assert child.ask(Call(os.getpid), 1.0) == Loss("unavailable")
        first = child._process.pid
        assert child.ask(Call(os.getpid), 1.0) == Loss("unavailable")
    assert child.ask(Call(os.getpid), 1.0) == first
    child.kill()
