from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st

from app.engine.packing import SHARED_CONFORMERS, pack


def ticket(options=0, conformers=1, late=False):
    return SimpleNamespace(options=options, conformers=conformers, late=late, over=lambda: late)


TICKETS = st.lists(
    st.builds(ticket, st.integers(0, 2), st.integers(1, 200), st.sampled_from([False, False, False, True])),
    min_size=1,
    max_size=30,
)


@settings(max_examples=50, deadline=None)
@given(TICKETS)
def test_oldest_ticket_is_always_served(waiting):
    assert pack(waiting)[0] is waiting[0]


@settings(max_examples=50, deadline=None)
@given(TICKETS)
def test_packed_tickets_have_equal_options(waiting):
    assert {ticket.options for ticket in pack(waiting)} == {waiting[0].options}


@settings(max_examples=50, deadline=None)
@given(TICKETS)
def test_packed_tickets_stay_within_the_bound(waiting):
    chosen = pack(waiting)
    assert len(chosen) == 1 or sum(ticket.conformers for ticket in chosen) <= SHARED_CONFORMERS


@settings(max_examples=50, deadline=None)
@given(TICKETS)
def test_packed_tickets_keep_their_order_and_come_once(waiting):
    places = [next(k for k, other in enumerate(waiting) if other is ticket) for ticket in pack(waiting)]
    assert places == sorted(set(places))


@settings(max_examples=50, deadline=None)
@given(TICKETS)
def test_ticket_is_left_only_when_it_does_not_fit(waiting):
    chosen = pack(waiting)
    total = 0
    for ticket in waiting:
        if any(ticket is c for c in chosen):
            total += ticket.conformers
        else:
            fits = ticket.options == waiting[0].options and total + ticket.conformers <= SHARED_CONFORMERS
            assert ticket.late or waiting[0].late or not fits


def test_large_ticket_is_served_alone():
    large, small = (ticket(conformers=n) for n in (SHARED_CONFORMERS + 1, 1))
    assert pack([large, small]) == [large]


@settings(max_examples=50, deadline=None)
@given(TICKETS)
def test_ticket_that_nobody_waits_for_is_not_sampled_along_with_others(waiting):
    chosen = pack(waiting)
    assert len(chosen) == 1 or not any(ticket.late for ticket in chosen)


def test_packing_leaves_the_waiting_room_alone():
    waiting = [ticket() for _ in range(3)]
    pack(waiting)
    assert len(waiting) == 3


def test_ticket_that_no_one_waits_for_is_served_alone_and_never_along():
    gone = SimpleNamespace(options=0, conformers=1, over=lambda: True)
    here = SimpleNamespace(options=0, conformers=1, over=lambda: False)
    assert pack([gone, here]) == [gone]
    assert pack([here, gone, here]) == [here, here]
