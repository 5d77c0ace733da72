"""All that was promised: the works of all tickets, and how each is answered."""

from __future__ import annotations

from collections.abc import Iterator

import structlog

from app.engine.backlog import Backlog
from app.engine.refusal import EngineError
from app.engine.work import Work

log = structlog.get_logger("shapespace.engine")


class Ledger:
    """Works that are not answered yet, in the order of their arrival."""

    def __init__(self) -> None:
        self.backlog = Backlog()
        self._works: dict[Work, None] = {}

    def __len__(self) -> int:
        return len(self._works)

    def __iter__(self) -> Iterator[Work]:
        """Those of the moment; they may be answered meanwhile."""
        return iter(list(self._works))

    @property
    def due(self) -> int:
        """Draws that are not on the device and not being checked."""
        return sum(work.due for work in self)

    @property
    def left_s(self) -> float:
        """Expected device time of all that has no verdict, s."""
        return sum(work.left_s for work in self)

    def add(self, work: Work) -> None:
        """Take in a work."""
        self._works[work] = None
        if work.complete and work.begin():
            self.report(work)
        self.backlog.offer(work)

    def report(self, work: Work) -> None:
        """Tell of molecules that are complete, and answer the ticket if all are."""
        if work.ended:
            return
        for place, ensemble in work.newly_complete():
            try:
                work.ticket.on_molecule(place, ensemble)
            except Exception:  # of a caller; the others must not feel it
                log.error("on_molecule_failed", exc_info=True)
        if work.complete:
            self.stop(work)

    def stop(self, work: Work) -> None:
        """Answer a ticket with what there is."""
        if not work.ended:
            self._end(work)
            if work.ticket.claim():
                work.ticket.future.set_result(work.ensembles())

    def fail(self, work: Work, error: Exception) -> None:
        """Answer a ticket with an error."""
        if not work.ended:
            self._end(work)
            if work.ticket.claim():
                work.ticket.future.set_exception(error)

    def stop_over(self) -> None:
        """Answer the tickets that nobody waits for any more."""
        for work in self:
            if work.ticket.over():
                self.stop(work)

    def give_back(self, refusal: EngineError) -> None:
        """Answer all: what began with what there is, what did not with a refusal."""
        for work in self:
            if work.ticket.started is not None:
                self.stop(work)
            else:
                self.fail(work, refusal)

    def recall(self, struck: dict[Work, set[int]]) -> None:
        """Everything that is under way begins again.

        Args:
            struck: Molecules that were on the device when it broke down, by their place.
        """
        self.backlog.empty()
        for work in self:
            work.recall()
            work.strike(struck.get(work, set()))
            self.backlog.offer(work)

    def _end(self, work: Work) -> None:
        work.ended = True
        self._works.pop(work, None)
        self.backlog.drop(work)
