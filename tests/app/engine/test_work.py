from dataclasses import replace

import numpy as np
import pytest

from app.engine.capacity import Capacity
from app.engine.work import GUESSED_AHEAD, Work
from models.data.guess import guess_all
from models.draws import Path
from models.options import STEPS

COSTS = Capacity(overhead_s=1e-3, token_s=1e-5, pair_s=0.0, max_pairs=10**6)
WARM = {"start": "etkdg", "start_time": 0.8}


@pytest.fixture
def work_of(ticket):
    return lambda *smiles, **fields: Work(ticket(*smiles, **fields), COSTS, lambda brief: guess_all)


def settle(rows, fault=None):
    for row in rows:
        row.book.settle([row.draw], [Path(np.zeros((9, 3)), True)], [fault])


def test_work_is_brief_by_its_device_time_and_priority(work_of):
    assert work_of("CCO", count=10, steps=50).brief
    assert not work_of("CCO", count=1000, steps=50).brief
    assert not work_of("CCO", priority=-1).brief
    assert not work_of(*["CCO", "CCN", "C"] * 20, count=20, steps=50).brief
    assert work_of("CCO", count=100, steps=5, **WARM).brief


def test_molecules_go_to_batches_of_their_size(work_of):
    work = work_of("C", "CCO", "CCN", count=2)
    assert sorted(kind.size for kind in work.kinds) == [8, 16]
    small, large = sorted(work.kinds, key=lambda kind: kind.size)
    assert (work.waiting(small), work.waiting(large), work.due) == (2, 4, 6)
    assert [row.draw.molecule for row in work.take(large, 3)] == [1, 1, 2]
    assert (work.waiting(large), work.due) == (1, 3)
    assert work.ticket.waiting
    work.take(large, 9), work.take(small, 9)
    assert not work.ticket.waiting


def test_flow_tells_packing_what_waits(work_of):
    work = work_of("CCO", count=3, priority=2)
    (kind,) = work.kinds
    flow = work.flow(kind)
    assert (flow.draws, flow.priority, flow.tag_s) == (3, 2, 0.0)
    assert flow.cost_s == COSTS.draw_s(16, work.ticket.options)


def test_time_that_is_left_shrinks_with_each_verdict(work_of):
    work = work_of("CCO", count=4)
    (kind,) = work.kinds
    before = work.left_s
    settle(work.take(kind, 1))
    assert work.left_s == pytest.approx(0.75 * before)
    settle(work.take(kind, 3))
    assert (work.left_s, work.complete) == (0, True)


def test_molecules_are_complete_once(work_of):
    work = work_of("CCO", "CCN")
    (kind,) = work.kinds
    settle(work.take(kind, 1))
    ((place, ensemble),) = work.newly_complete()
    assert (place, ensemble.status) == (0, "ok")
    assert work.newly_complete() == []
    settle(work.take(kind, 1))
    assert [place for place, _ in work.newly_complete()] == [1]
    assert [e.status for e in work.ensembles()] == ["ok", "ok"]


def test_warm_draws_wait_for_their_guesses(work_of):
    work = work_of("CCO", count=3, **WARM)
    (kind,) = work.kinds
    assert (work.waiting(kind), work.take(kind, 9)) == (0, [])
    book, draws = work.take_unguessed(2)
    assert [draw.index for draw in draws] == [0, 1]
    assert work.due == 3
    guess = np.zeros((9, 3))
    work.add_guesses(book, draws, [guess, None])
    guided, lost = work.take(kind, 9)
    assert guided.origin.guess is guess
    assert guided.origin.as_asked
    assert (lost.origin.guess, lost.origin.as_asked, lost.origin.options.steps) == (None, False, STEPS["noise"])


def test_draws_without_a_guess_cost_more(work_of):
    work = work_of("CCO", count=2, steps=5, **WARM)
    (kind,) = work.kinds
    work.add_guesses(*work.take_unguessed(2), [np.zeros((9, 3)), None])
    guided, lost = work.take(kind, 2)
    assert guided.cost_s == work.cost_s[16]
    assert lost.cost_s == pytest.approx(STEPS["noise"] / 5 * guided.cost_s)


def test_work_is_brief_no_longer_when_its_guesses_fail(work_of):
    work = work_of("CCO", count=100, steps=5, **WARM)
    (kind,) = work.kinds
    lost = int(2 * COSTS.brief_s / (STEPS["noise"] / 5 * work.cost_s[16]))
    work.tag_s = 7.0
    work.add_guesses(*work.take_unguessed(lost), [None] * lost)
    assert (work.brief, work.outgrown) == (True, False)
    work.add_guesses(*work.take_unguessed(1), [None])
    assert work.outgrown
    work.become_bulk()
    assert (work.brief, work.outgrown, work.tag_s, work.small) == (False, False, 0.0, True)
    assert work.kinds == [replace(kind, brief=False)]
    assert work.waiting(work.kinds[0]) == lost + 1
    work.add_guesses(*work.take_unguessed(1), [None])
    assert len(work.take(work.kinds[0], 99)) == lost + 2


def test_guesses_are_not_made_too_far_ahead(work_of):
    work = work_of("CCO", count=1000, **WARM)
    asked = 0
    while (found := work.take_unguessed(16)) is not None:
        asked += len(found[1])
    assert asked == GUESSED_AHEAD


def test_recalled_work_can_be_done_again(work_of):
    cold, warm = work_of("CCO", count=3), work_of("CCO", count=3, **WARM)
    (kind,) = cold.kinds
    settle(cold.take(kind, 1))
    cold.take(kind, 1)
    book, draws = warm.take_unguessed(2)
    warm.add_guesses(book, draws[:1], [np.zeros((9, 3))])
    for work, left in ((cold, 2), (warm, 3)):
        work.recall()
        assert work.due == left
    assert [row.draw.index for row in cold.take(kind, 9)] == [1, 2]


def test_molecule_is_given_up_at_the_second_breakdown(work_of):
    work = work_of("CCO", "CCN")
    work.strike({1})
    assert [book.open for book in work.books] == [1, 1]
    work.strike({0, 1})
    assert [book.open for book in work.books] == [1, 0]
    assert work.ensembles()[1].problems[0].reason == "sampler_lost"


def test_rows_are_gone_with_their_ticket_or_their_molecule(work_of):
    work = work_of("CCO", "CCN")
    (kind,) = work.kinds
    first, second = work.take(kind, 2)
    work.books[0].abandon("out_of_memory")
    assert (first.gone, second.gone) == (True, False)
    work.ended = True
    assert second.gone


def test_work_of_one_who_has_gone_does_not_begin(work_of):
    work, gone = work_of("CCO"), work_of("CCO")
    assert work.begin()
    assert work.begin()
    assert work.ticket.started is not None
    gone.ticket.cancel()
    assert not gone.begin()
