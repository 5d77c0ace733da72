import asyncio
import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from app.intake.pool import ChildPool
from app.intake.reading import Reading, Refusal

PATIENCE_S = 120
SCARCE_MB = 270  # enough for RDKit, and little more


def smiles(text, name=""):
    return Reading("smiles", text, name, 0)


def read(pool, *texts, timeout_s=PATIENCE_S):
    return asyncio.run(pool.read([smiles(text, str(k)) for k, text in enumerate(texts)], timeout_s))


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def process_of(child):
    with child._lock:  # while it is replaced there is none
        return child._process and child._process.pid


def states(pids):
    """Of each process, as `ps` says it: R, S, T, ..."""
    return [Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] for pid in pids]


def is_good(answer, expected):
    return not isinstance(answer, Refusal) and [m.smiles for m in answer] == [expected]


@pytest.fixture
def pool_of():
    """Started pools, closed after the test, and the process ids of their children."""
    pools = []

    def build(processes=1, timeout_s=PATIENCE_S, memory_mb=3000):
        before = {p.pid for p in multiprocessing.active_children()}
        pool = ChildPool(processes, timeout_s, memory_mb)
        pools.append(pool)
        pool.start()
        return pool, lambda: {p.pid for p in multiprocessing.active_children()} - before

    yield build
    for pool in pools:
        pool.close()


def test_pool_answers_in_the_order_of_the_questions(pool_of):
    pool, _ = pool_of(2)
    texts = ["C" * k for k in range(1, 13)] + ["C1CC", "O"]
    answers = read(pool, *texts)
    assert all(is_good(answer, text) for text, answer in zip(texts[:12], answers[:12], strict=True))
    assert answers[12].reason == "unreadable"
    assert is_good(answers[13], "O")
    assert [answer[0].id for answer in answers[:12]] == [str(k) for k in range(12)]


def test_pool_kills_what_takes_too_long_and_serves_its_neighbours(pool_of, hard):
    pool, pids = pool_of(1, timeout_s=2)
    assert is_good(read(pool, "CCO")[0], "CCO")
    before = pids()
    answers = read(pool, "CO", hard, "CN")
    assert is_good(answers[0], "CO")
    assert is_good(answers[2], "CN")
    assert answers[1].reason == "too_complex"
    assert "took more than" in answers[1].detail
    assert len(pids()) == 2  # one is spare
    assert sum(alive(pid) for pid in before) == 1
    assert is_good(read(pool, "CCO")[0], "CCO")


def test_pool_replaces_a_child_that_was_killed_in_its_work(pool_of, hard, patient):
    pool, pids = pool_of()
    assert is_good(read(pool, "CCO")[0], "CCO")
    future = pool.submit(smiles(hard))
    patient(lambda: pool._busy)
    (child,) = pool._busy
    pid = process_of(child)
    os.kill(pid, signal.SIGKILL)
    patient(lambda: process_of(child) not in (None, pid) and child.jobs)  # once more
    os.kill(process_of(child), signal.SIGKILL)
    answer = future.result(PATIENCE_S)
    assert answer.reason == "too_complex"
    assert "ended its process" in answer.detail
    assert is_good(read(pool, "CCO")[0], "CCO")
    assert pid not in pids()


def test_pool_does_not_feel_the_death_of_an_idle_child(pool_of, patient):
    pool, pids = pool_of()
    assert is_good(read(pool, "CCO")[0], "CCO")
    before = pids()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    patient(lambda: before.isdisjoint(pids()))
    assert is_good(read(pool, "CCO")[0], "CCO")


def test_pool_survives_a_child_without_memory(pool_of, hard):
    pool, _ = pool_of(memory_mb=SCARCE_MB)
    assert is_good(read(pool, "CCO")[0], "CCO")
    answers = read(pool, hard, "CO")
    assert answers[0].reason in ("too_complex", "unreadable")  # RDKit may end its own work without a word
    assert is_good(answers[1], "CO")


def test_pool_gives_up_what_is_late_in_all(pool_of, hard, monkeypatch):
    pool, _ = pool_of()
    limits = []

    async def until_the_first(tasks, timeout):
        limits.append(timeout)
        await tasks[0]

    monkeypatch.setattr("app.intake.pool.asyncio.wait", until_the_first)
    answers = read(pool, "CO", hard, hard, "C", timeout_s=2)
    assert limits == [2]
    assert is_good(answers[0], "CO")
    assert [answer.reason for answer in answers[1:]] == ["stopped"] * 3
    assert "within 2 s" in answers[1].detail


def test_pool_that_is_closed_leaves_no_process(pool_of):
    pool, pids = pool_of(2)
    assert is_good(read(pool, "C")[0], "C")
    before = pids()
    assert len(before) == 3  # one is spare
    pool.close()
    assert pids() == set()
    assert not any(alive(pid) for pid in before)
    pool.close()


def test_pool_that_is_closed_in_its_work_leaves_no_process(pool_of, hard, monkeypatch, patient):
    monkeypatch.setattr("app.intake.pool._QUICK_S", PATIENCE_S)
    pool, pids = pool_of()
    assert is_good(read(pool, "C")[0], "C")
    before = pids()
    running, waiting = pool.submit(smiles(hard)), pool.submit(smiles("C"))
    patient(lambda: running.running())
    pool.close()
    assert running.result(PATIENCE_S).reason == "intake_unavailable"
    assert waiting.cancelled()
    assert not any(alive(pid) for pid in before)
    assert pids() == set()


def test_more_slow_jobs_than_children_hold_nobody_up(pool_of, hard, patient):
    pool, pids = pool_of(1)
    assert is_good(read(pool, "CCO")[0], "CCO")
    chewed = [pool.submit(smiles(hard)) for _ in range(4)]
    patient(lambda: pool.stats().slow == 4)
    assert is_good(read(pool, "CCN")[0], "CCN")
    assert not any(future.done() for future in chewed)
    patient(lambda: states(pids()).count("T") == 3)  # one of them goes on
    going = [process_of(child) for child in pool._busy]
    os.kill(next(pid for pid, state in zip(going, states(going), strict=True) if state != "T"), signal.SIGKILL)
    pool.close()
    assert {future.result(PATIENCE_S).reason for future in chewed} <= {"intake_unavailable", "too_complex"}
    assert pids() == set()


def test_slow_jobs_that_were_stopped_go_on_one_after_another(pool_of, hard):
    pool, _ = pool_of(1, timeout_s=4)
    answers = read(pool, hard, hard, hard)
    assert [answer.reason for answer in answers] == ["too_complex"] * 3
    assert pool.stats().losses == {"late": 3}
    assert is_good(read(pool, "CCO")[0], "CCO")


def test_job_is_answered_although_no_process_can_be_started_for_it(pool_of, hard, monkeypatch, patient):
    pool, _ = pool_of(1)
    assert is_good(read(pool, "CCO")[0], "CCO")
    with monkeypatch.context() as patch:
        patch.setattr("app.intake.child.Child.spawn", fail)
        pool._idle.clear()
        patch.setattr("app.intake.child._PAUSE_S", 0.01)
        assert pool.submit(smiles("C")).result(PATIENCE_S).reason == "intake_unavailable"
    assert all(is_good(answer, "CO") for answer in read(pool, *["CO"] * 9))


def fail(child):
    raise OSError("too many processes")
