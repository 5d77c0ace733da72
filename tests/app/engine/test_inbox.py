import contextlib
import threading
from time import monotonic

from app.engine.inbox import Inbox


def test_calls_come_once_and_in_their_order():
    inbox, made = Inbox(), []
    for k in range(3):
        inbox.put(lambda worker, k=k: made.append((worker, k)))
    while (call := inbox.take()) is not None:
        call("worker")
    assert made == [("worker", 0), ("worker", 1), ("worker", 2)]


def test_call_ends_the_wait():
    inbox = Inbox()
    thread = threading.Thread(target=inbox.wait, args=(None,))
    thread.start()
    inbox.put(lambda worker: None)
    thread.join(60)
    assert not thread.is_alive()
    inbox.wait(None)  # one is there


def test_wait_ends_by_itself():
    began = monotonic()
    Inbox().wait(0.01)
    assert monotonic() > began


def test_call_that_fails_takes_no_other_with_it():
    inbox = Inbox()
    inbox.put(lambda worker: 1 / 0)
    inbox.put(lambda worker: "good")
    with contextlib.suppress(ZeroDivisionError):
        inbox.take()(None)
    assert inbox.take()(None) == "good"
    assert inbox.take() is None


def test_who_is_woken_looks_whether_its_time_is_over():
    inbox, over = Inbox(), threading.Event()
    thread = threading.Thread(target=inbox.wait, args=(None, over.is_set))
    thread.start()
    over.set()
    inbox.wake()
    thread.join(60)
    assert not thread.is_alive()
