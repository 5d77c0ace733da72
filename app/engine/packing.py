"""Which waiting tickets share a call of the sampler: a pure function."""

from __future__ import annotations

from collections.abc import Sequence

from app.engine.ticket import Ticket

SHARED_CONFORMERS = 256  # no ticket waits behind more than this much of its neighbours' work in the same call


def pack(waiting: Sequence[Ticket]) -> list[Ticket]:
    """The oldest ticket, and those behind it that have the same options and fit beside it.

    Args:
        waiting: Oldest first, not empty.

    Returns:
        A ticket whose caller waits no more, alone; or else tickets for one call, oldest first.
    """
    first = waiting[0]
    if first.over():
        return [first]  # answered at once with nothing, not sampled along with others
    chosen, conformers = [first], first.conformers
    for ticket in waiting[1:]:
        if ticket.over() or ticket.options != first.options:
            continue
        if conformers + ticket.conformers <= SHARED_CONFORMERS:
            chosen.append(ticket)
            conformers += ticket.conformers
    return chosen
