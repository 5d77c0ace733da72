import threading

import pytest

from app.intake import queue
from app.intake.queue import Queue

PATIENCE_S = 30


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(queue, "LETS_BY", 3)


def test_urgent_jobs_go_first_and_the_others_have_their_turn(few):
    waiting = Queue(1)
    for name in ("bulk 0", "bulk 1"):
        waiting.put(name, urgent=False)
    for number in range(2, 9):
        waiting.put(number, urgent=True)
    taken = []
    while len(waiting):
        name, urgent = waiting.take()
        waiting.done(urgent)
        taken.append(name)
    assert taken == [2, 3, "bulk 0", 4, "bulk 1", 5, 6, 7, 8]


def test_sorts_do_not_take_each_other_s_places(few):
    waiting = Queue(1)
    for name in ("bulk 0", "bulk 1"):
        waiting.put(name, urgent=False)
    assert waiting.take() == ("bulk 0", False)
    for number in range(9):
        waiting.put(number, urgent=True)
    assert waiting.take() == (0, True)
    waiting.done(True)
    assert waiting.take() == (1, True)
    waiting.done(False)
    assert waiting.take() == ("bulk 1", False)


def test_who_waits_is_told_of_a_turn_that_is_free():
    waiting, taken = Queue(1), []
    for name in ("bulk 0", "bulk 1"):
        waiting.put(name, urgent=False)
    assert waiting.take()[0] == "bulk 0"
    thread = threading.Thread(target=lambda: taken.append(waiting.take()))
    thread.start()
    waiting.done(False)
    thread.join(PATIENCE_S)
    assert taken == [("bulk 1", False)]


def test_closed_queue_gives_back_what_waited():
    waiting, taken = Queue(1), []
    threads = [threading.Thread(target=lambda: taken.append(waiting.take())) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert waiting.close() == []
    for thread in threads:
        thread.join(PATIENCE_S)
    assert taken == [(None, True)] * 2
    other = Queue(1)
    other.put("a", urgent=False)
    other.put("b", urgent=True)
    assert sorted(other.close()) == ["a", "b"]
    assert len(other) == 0
