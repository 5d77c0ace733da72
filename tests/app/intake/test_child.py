import os
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


@pytest.mark.parametrize(
    ("job", "loss"),
    [
        (Call(partial(int, "x")), Loss("error", "ValueError: invalid literal for int() with base 10: 'x'")),
        (Call(partial(bytes, 2**33)), Loss("memory", "1000 MB")),
        (Call(partial(os._exit, 3)), Loss("died")),
        (Call(partial(time.sleep, 600), patience=0.25), Loss("late", "0.5 s")),
    ],
    ids=lambda value: value.reason if isinstance(value, Loss) else "",
)
def test_child_says_how_a_job_was_lost_and_does_the_next(child, job, loss):
    assert child.ask(job, 2.0) == loss
    assert child.ask(Call(partial(max, 3, 4)), 1.0) == 4


def test_child_that_was_ended_for_good_says_so():
    child = Child(1000)
    child.spawn()
    child.kill()
    assert child.ask(Call(os.getpid), 1.0).reason == "died"
