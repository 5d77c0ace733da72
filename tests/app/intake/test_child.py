import os
import signal
import subprocess
import sys
import time
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace

import pytest
from structlog.testing import CapturingLogger

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
        (Call(partial(time.sleep, 600), patience=0.1), Loss("late", "2 s")),  # by the clock
    ],
    ids=lambda value: value.reason if isinstance(value, Loss) else "",
)
def test_child_says_how_a_job_was_lost_and_does_the_next(child, job, loss):
    assert child.ask(job, 2.0) == loss
    assert child.ask(Call(partial(max, 3, 4)), 1.0) == 4


def test_job_is_done_once_more_when_its_process_was_killed_from_outside(child):
    assert child.ask(Call(partial(signal.raise_signal, signal.SIGKILL)), 2.0) == Loss("died", "killed from outside")
    first, slow = child.ask(Call(os.getpid), 1.0), []

    def kill():
        slow.append("slow")
        os.kill(first, signal.SIGKILL)

    assert child.ask(Call(partial(time.sleep, 0.6)), 2.0, 0.1, kill) is None
    assert child.ask(Call(os.getpid), 1.0) != first
    assert slow == ["slow"]  # once, although it is slow both times


def test_child_ends_by_itself_what_takes_too_much_processor_time(child, leisure):
    forever = partial(pow, 7, 10**9)  # never gives Python a turn
    assert child.ask(Call(forever, patience=0.25), 2.0) == Loss("late", "0.5 s")
    assert child.ask(Call(partial(max, 3, 4)), 1.0) == 4


def test_processor_time_of_a_job_is_its_own(child, leisure):
    for _ in range(16):  # together they take more than one may
        assert child.ask(Call(partial(sum, range(4_000_000)), patience=1.0), 1.0) == 7999998000000


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


def state_of(process):
    """As `ps` says it: R, S, T, Z, ...; nothing when it is gone."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_child_goes_on_after_a_pause(child, patient):
    states, process = [], child.ask(Call(os.getpid), 1.0)

    def stop_for_a_while():
        child.pause()
        patient(lambda: state_of(process) == "T")
        states.append(state_of(process))
        child.go_on()

    assert child.ask(Call(partial(sum, range(4_000_000))), 60.0, 0.0, stop_for_a_while) == 7999998000000
    assert states == ["T"]
    assert child.ask(Call(os.getpid), 1.0) == process


def test_child_that_was_stopped_does_not_outlive_its_parent(patient):
    story = (
        "import time; from app.intake.child import Child; child = Child(1000); child.spawn(); child._await_ready();"
        "child.pause(); print(child._process.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", story], stdout=subprocess.PIPE, text=True)
    with parent:
        process = int(parent.stdout.readline())
        patient(lambda: state_of(process) == "T")
        parent.kill()
    patient(lambda: state_of(process) in ("", "Z"))


def test_child_that_ends_while_it_loads_is_replaced_after_pauses_that_grow(monkeypatch):
    monkeypatch.setattr("app.intake.child._PAUSE_S", 0.01)
    logger = CapturingLogger()  # capture_logs() finds nothing once another test has configured structlog
    monkeypatch.setattr("app.intake.child.log", logger)
    child = Child(60)  # MB, too little for what it loads
    assert child.ask(Call(os.getpid), 1.0) == Loss("unavailable")
    told = [(call.args, call.kwargs["times"], call.kwargs["pause_s"]) for call in logger.calls]
    assert told == [(("child_ended_at_start",), k, pause) for k, pause in ((1, 0.01), (2, 0.02), (3, 0.04))]
    child.memory_mb = 1000
    assert child.ask(Call(partial(max, 3, 4)), 1.0) == 4
    assert child._stillborn == 0
    child.kill()


def test_child_waits_until_a_process_can_be_started(monkeypatch):
    monkeypatch.setattr("app.intake.child._PAUSE_S", 0.01)
    child, failures, context = Child(1000), [1, 2], get_context("spawn")

    def start(**how):
        if failures:
            failures.pop()
            raise OSError("too many processes")
        return context.Process(**how)

    monkeypatch.setattr("app.intake.child.get_context", lambda _: SimpleNamespace(Pipe=context.Pipe, Process=start))
    assert child.ask(Call(partial(max, 3, 4)), 1.0) == 4
    assert failures == []
    child.kill()


def test_end_of_a_process_is_noticed_although_something_holds_its_pipe_open(monkeypatch):
    held, context = [], get_context("spawn")

    def pipe():
        near, far = context.Pipe()
        held.append(os.dup(far.fileno()))
        return near, far

    monkeypatch.setattr("app.intake.child.get_context", lambda _: SimpleNamespace(Pipe=pipe, Process=context.Process))
    child = Child(1000)
    assert child.ask(Call(partial(os._exit, 3)), 600.0) == Loss("died")
    child.kill()
    for number in held:
        os.close(number)
