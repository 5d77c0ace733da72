"""One unit of work: molecules, counts, seeds, options, a deadline and a future."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Event
from time import monotonic

from models.options import SampleOptions
from models.structure import Ensemble, Molecule


@dataclass(eq=False)
class Ticket:
    """What a caller wants and where the answer goes.

    Attributes:
        molecules: What to sample.
        counts: Conformers of each.
        seeds: First seed of each.
        options: How to sample.
        deadline: When the caller stops waiting, on the monotonic clock, s.
        priority: Below 0 is work that nobody waits for at the screen.
        future: Receives the ensembles.
        started: When sampling began, on the monotonic clock, s; None before.
    """

    molecules: list[Molecule]
    counts: list[int]
    seeds: list[int]
    options: SampleOptions
    deadline: float = float("inf")
    priority: int = 0
    future: Future[list[Ensemble]] = field(default_factory=Future)
    started: float | None = None
    _cancelled: Event = field(default_factory=Event)

    @property
    def conformers(self) -> int:
        """Conformers asked for in all."""
        return sum(self.counts)

    def claim(self) -> bool:
        """Start the work; false when the caller has gone."""
        if self._cancelled.is_set():
            self.future.cancel()
        return self.future.running() or self.future.set_running_or_notify_cancel()

    def cancel(self) -> None:
        """The caller no longer wants the answer."""
        self._cancelled.set()

    def over(self) -> bool:
        """Whether there is no one to work for any more."""
        return self._cancelled.is_set() or monotonic() > self.deadline
