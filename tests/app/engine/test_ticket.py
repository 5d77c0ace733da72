from time import monotonic

from app.engine.ticket import Ticket
from models.options import SampleOptions


def ticket(**fields):
    return Ticket([], [3, 4], [0, 0], SampleOptions(), **fields)


def test_ticket_counts_its_conformers():
    assert ticket().conformers == 7


def test_ticket_is_not_over_by_itself():
    assert not ticket().over()
    assert not ticket(deadline=monotonic() + 60).over()


def test_ticket_is_over_when_cancelled_or_late():
    one = ticket()
    one.cancel()
    assert one.over()
    assert ticket(deadline=monotonic() - 1).over()


def test_ticket_can_be_claimed_again_while_it_runs():
    one = ticket()
    assert one.claim()
    assert one.claim()


def test_ticket_that_was_given_up_cannot_be_claimed():
    one = ticket()
    one.future.cancel()
    assert not one.claim()


def test_ticket_whose_caller_has_gone_cannot_be_claimed():
    one = ticket()
    one.cancel()
    assert not one.claim()
    assert one.future.cancelled()


def test_ticket_that_runs_goes_on_when_its_caller_has_gone():
    one = ticket()
    assert one.claim()
    one.cancel()
    assert one.claim()
    assert one.over()


def test_tickets_are_told_apart_by_identity():
    assert ticket() != ticket()


def test_ticket_is_over_when_it_was_answered_or_given_up():
    one, other = ticket(), ticket()
    one.future.cancel()
    assert other.claim()
    assert not other.over()
    other.future.set_result([])
    assert one.over()
    assert other.over()
    assert not other.claim()


def test_ticket_waits_at_first_with_the_usual_priority():
    one = ticket()
    assert (one.waiting, one.priority, one.started, one.submitted) == (True, 0, None, None)
    one.on_molecule(0, None)  # nobody listens
