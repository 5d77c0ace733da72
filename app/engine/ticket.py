"""One unit of work: molecules, counts, seeds, options, a deadline and a future."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Event
from time import monotonic
from typing import Any

from models.options import SampleOptions
from models.structure import Subject

MAIN = "main"  # the model of an engine that has no other
BACKBONES = "backbones"  # the model of backbones, where one is served


@dataclass(eq=False)
class Ticket:
    """What a caller wants and where the answer goes.

    Attributes:
        molecules: What to sample; for a model of backbones, blueprints.
        counts: Conformers of each.
        seeds: First seed of each.
        options: How to sample.
        deadline: When the caller stops waiting, on the monotonic clock, s.
        priority: Each step up weighs four times more where tickets compete.  Below 0 is work that nobody waits for at
            the screen: it never takes the way of small requests, and its submitter bounds how much of it there is.
        on_molecule: Called once with place and ensemble of each molecule as soon as it has its last verdict, not for
            what is stopped.  It runs in the thread that owns the device, so it must be quick.
        model: Name of the model among those of the engine.
        future: Receives the ensembles.
        submitted: When it was handed in, on the monotonic clock, s; None before.
        started: When the first of it reached the sampler, on the monotonic clock, s; None before.
        waiting: Whether some of it never reached the sampler yet.
        made: Structures that have passed their checks so far.
    """

    molecules: Sequence[Subject]
    counts: list[int]
    seeds: list[int]
    options: SampleOptions
    deadline: float = float("inf")
    priority: int = 0
    on_molecule: Callable[[int, Any], None] = lambda index, ensemble: None
    model: str = MAIN
    future: Future[list[Any]] = field(default_factory=Future)
    submitted: float | None = None
    started: float | None = None
    waiting: bool = True
    made: int = 0
    _cancelled: Event = field(default_factory=Event)

    @property
    def conformers(self) -> int:
        """Conformers asked for in all."""
        return sum(self.counts)

    def claim(self) -> bool:
        """Start the work; false when the caller has gone."""
        if self._cancelled.is_set():
            self.future.cancel()
        if self.future.done():
            return False
        return self.future.running() or self.future.set_running_or_notify_cancel()

    def cancel(self) -> None:
        """The caller no longer wants the answer."""
        self._cancelled.set()

    def over(self) -> bool:
        """Whether there is no one to work for any more."""
        return self._cancelled.is_set() or self.future.done() or monotonic() > self.deadline
