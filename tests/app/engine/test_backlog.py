import numpy as np
import pytest

from app.engine.backlog import Backlog
from app.engine.capacity import Capacity
from app.engine.work import Work
from models.data.guess import guess_all
from models.options import STEPS

COSTS = Capacity(overhead_s=1e-3, token_s=1e-5, pair_s=0.0, max_pairs=10**6)


@pytest.fixture
def work_of(ticket):
    return lambda *smiles, **fields: Work(ticket(*smiles, **fields), COSTS, lambda brief: guess_all)


@pytest.fixture
def backlog():
    return Backlog()


def owners(rows, *works):
    return [works.index(row.work) for row in rows]


def test_places_are_shared_and_nothing_is_left_behind(backlog, work_of):
    one, two = work_of("CCO", count=5), work_of("CCN", count=2)
    for work in (one, two):
        backlog.offer(work)
    (kind,) = backlog.kinds
    assert sorted(owners(backlog.take(kind, 4), one, two)) == [0, 0, 1, 1]
    assert owners(backlog.take(kind, 99), one, two) == [0, 0, 0]
    assert backlog.kinds == []


def test_who_comes_later_is_level_with_those_who_wait(backlog, work_of):
    old, new = work_of("CCO", count=100), work_of("CCN", count=100)
    backlog.offer(old)
    (kind,) = backlog.kinds
    backlog.take(kind, 50)
    backlog.offer(new)
    assert 4 <= owners(backlog.take(kind, 10), old, new).count(0) <= 6


def test_who_comes_back_saved_up_nothing(backlog, work_of):
    """Between two tries a ticket has nothing to offer; the time of the others goes on meanwhile."""
    other, back = work_of("CCO", count=100), work_of("CCN", count=1)
    backlog.offer(back)
    (kind,) = backlog.kinds
    backlog.take(kind, 1)
    backlog.offer(other)
    backlog.take(kind, 50)
    back.recall()
    backlog.offer(back)
    assert back.tag_s >= other.tag_s - other.cost_s[kind.size] * 1.001


def test_draws_without_a_guess_are_charged_for_what_they_cost(backlog, work_of):
    warm, other = (work_of(smiles, steps=5, start="etkdg", start_time=0.8) for smiles in ("CCO", "CCN"))
    for work, guess in ((warm, None), (other, np.zeros((10, 3)))):
        work.add_guesses(*work.take_unguessed(1), [guess])
        backlog.offer(work)
    (kind,) = backlog.kinds
    backlog.take(kind, 2)
    assert warm.tag_s == pytest.approx(STEPS["noise"] / 5 * other.tag_s)


def test_brief_and_bulk_work_wait_apart(backlog, work_of):
    brief, job = work_of("CCO"), work_of("CCO", priority=-1)
    for work in (brief, job):
        backlog.offer(work)
    assert sorted(kind.brief for kind in backlog.kinds) == [False, True]
    for kind in backlog.kinds:
        assert [row.work.brief for row in backlog.take(kind, 9)] == [kind.brief]


def test_work_that_has_ended_is_not_taken(backlog, work_of):
    gone, stays, late = work_of("CCO"), work_of("CCN"), work_of("CCO")
    for work in (gone, stays):
        backlog.offer(work)
    backlog.drop(gone)
    late.ended = True
    backlog.offer(late)
    (kind,) = backlog.kinds
    assert owners(backlog.take(kind, 9), gone, stays, late) == [1]


def test_caller_who_gave_up_gets_no_place(backlog, work_of):
    gone, stays = work_of("CCO"), work_of("CCN")
    for work in (gone, stays):
        backlog.offer(work)
    gone.ticket.future.cancel()
    (kind,) = backlog.kinds
    assert owners(backlog.take(kind, 9), gone, stays) == [1]


def test_emptied_backlog_keeps_its_time(backlog, work_of):
    one, two = work_of("CCO", count=9), work_of("CCN")
    backlog.offer(one)
    (kind,) = backlog.kinds
    backlog.take(kind, 5)
    backlog.empty()
    assert backlog.kinds == []
    backlog.offer(two)
    assert two.tag_s > 0
