import time

import numpy as np
import pytest

from app.engine.capacity import Capacity
from app.engine.ledger import Ledger
from app.engine.refusal import shutting_down
from app.engine.work import Work
from models.data.guess import guess_all
from models.draws import Path

COSTS = Capacity(overhead_s=1e-3, token_s=1e-5, pair_s=0.0, max_pairs=10**6)


@pytest.fixture
def ledger():
    return Ledger()


@pytest.fixture
def entered(ledger, ticket):
    """Enter a ticket; its work."""

    def enter(*smiles, **fields):
        ledger.add(Work(ticket(*smiles, **fields), COSTS, lambda brief: guess_all))
        return list(ledger)[-1]

    return enter


def settle(work, count=99):
    for row in work.take(work.kinds[0], count):
        row.book.settle([row.draw], [Path(np.zeros((9, 3)), True)], [None])


def test_ticket_is_answered_when_all_its_molecules_are_complete(ledger, entered):
    told = []
    work = entered("CCO", "CCN", on_molecule=lambda place, ensemble: told.append(place))
    assert work.begin()
    settle(work, 1)
    ledger.report(work)
    assert (told, work.ticket.future.done(), len(ledger)) == ([0], False, 1)
    settle(work)
    ledger.report(work)
    ledger.report(work)
    assert [e.status for e in work.ticket.future.result(0)] == ["ok", "ok"]
    assert (told, len(ledger), ledger.backlog.kinds) == ([0, 1], 0, [])


def test_sums_are_those_of_all_works(ledger, entered):
    one, two = entered("CCO", count=3), entered("CCN", count=2)
    assert ledger.due == 5
    assert ledger.left_s == one.left_s + two.left_s > 0


def test_tickets_that_nobody_waits_for_are_answered(ledger, entered):
    stays, late = entered("CCO"), entered("CCO", deadline=time.monotonic() - 1)
    gone, running = entered("CCO"), entered("CCO")
    assert running.begin()
    gone.ticket.cancel(), running.ticket.cancel()
    ledger.stop_over()
    assert list(ledger) == [stays]
    assert gone.ticket.future.cancelled()
    for work in (late, running):
        assert work.ticket.future.result(0)[0].problems[0].reason == "stopped"


def test_ticket_is_answered_once(ledger, entered):
    work = entered("CCO")
    ledger.fail(work, RuntimeError("first"))
    ledger.stop(work)
    ledger.fail(work, RuntimeError("second"))
    with pytest.raises(RuntimeError, match="first"):
        work.ticket.future.result(0)


def test_what_is_given_back_says_whether_it_began(ledger, entered):
    began, waits = entered("CCO"), entered("CCN")
    assert began.begin()
    ledger.give_back(shutting_down())
    assert began.ticket.future.result(0)[0].problems[0].reason == "stopped"
    assert "shutting down" in str(waits.ticket.future.exception(0))
    assert len(ledger) == 0


def test_recalled_works_wait_again_and_the_struck_are_given_up_the_second_time(ledger, entered):
    one, two = entered("CCO", count=2), entered("CCN", count=2)
    (kind,) = ledger.backlog.kinds
    for left in (4, 2):
        ledger.backlog.take(kind, 3)
        ledger.recall({one: {0}})
        assert ledger.due == left
    assert (one.complete, two.complete) == (True, False)
    ledger.report(one)
    assert one.ticket.future.result(0)[0].problems[0].reason == "sampler_lost"
