"""The thread that owns the device, and its clerk.

The first advances running batches one step at a time; between two steps it drops what is no longer wanted, lets waiting
draws join and chooses the batch that goes next.  The clerk takes in what is new, has guesses made, and answers, also
while a step is made, so that nobody waits for a long step of others who has no need to.  Guesses and checks are made
beside both.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from time import monotonic

import numpy as np
import structlog

from app.engine.capacity import Served
from app.engine.helpers import Guesses, Helpers, Verdicts
from app.engine.inbox import Inbox
from app.engine.lane import Lane, free_memory, is_out_of_memory
from app.engine.ledger import Ledger
from app.engine.packing import Shares, Turn, entry_s
from app.engine.refusal import EngineError, shutting_down
from app.engine.stats import Meter
from app.engine.ticket import MAIN, Ticket
from app.engine.work import Row, Work
from models.data.guess import Guesser
from models.draws import Draw, Draws

log = structlog.get_logger("shapespace.engine")
_LOOK_EVERY_S = 0.05  # for tickets that are cancelled or late
_GUESSES_AT_ONCE = 16
_MAX_FAILURES = 20  # steps that fail one after another; then it is not the molecules
_REFILL = 8  # a bulk batch is filled up when this part of it is free: each joining costs some time


class Worker:
    """One life of the two threads; when one breaks down, `heir` goes on with its work.

    Args:
        served: The models by name, `MAIN` among them.
        guesser: Makes the guesser of each ticket; told whether it is brief.
        meter: Counts.
        inbox: Messages.
        lock: Held while the books are changed, and not during steps.
    """

    def __init__(
        self,
        served: dict[str, Served],
        guesser: Callable[[bool], Guesser],
        meter: Meter,
        inbox: Inbox[Worker],
        lock: threading.RLock,
    ) -> None:
        self.served = served
        self._guesser, self._meter, self._inbox, self._lock = guesser, meter, inbox, lock
        self.ledger = Ledger()
        self.lanes: list[Lane] = []
        self.beat: float | None = None  # last sign of life on the monotonic clock, s; None while there is nothing to do
        self.end_at: float | None = None  # from now on only what is here is done, and only until then
        self._superseded = False
        self._stepping: Lane | None = None
        self._failures = 0
        self._shares = Shares(served[MAIN].capacity.brief_s)
        self._helpers = Helpers(
            lambda *answer: self._tell(lambda: self._take_guesses(*answer)),
            lambda verdicts: self._tell(lambda: self._settle(verdicts)),
            lambda work, error: self._tell(lambda: self.ledger.fail(work, error)),
        )
        self._news = threading.Event()  # the clerk has heard something
        self.thread = threading.Thread(target=self._run, args=(self._turn,), name="engine", daemon=True)
        self._clerk = threading.Thread(target=self._run, args=(self._attend,), name="clerk", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._clerk.start()
        self.thread.start()

    @property
    def alive(self) -> bool:
        """Whether both threads run."""
        return self.thread.is_alive() and self._clerk.is_alive()

    def enter(self, ticket: Ticket) -> None:
        """Take in a ticket; only for calls from the inbox, as `review`."""
        try:
            self.ledger.add(Work(ticket, self.served[ticket.model].capacity, self._guesser))
        except Exception as error:
            if ticket.claim():
                ticket.future.set_exception(error)

    def review(self) -> None:
        """Report what is complete."""
        for work in self.ledger:
            self.ledger.report(work)

    def heir(self) -> Worker:
        """Another worker with the work of this one, all that was under way begun again; needs the lock.

        Molecules that were on the device when it broke down are given up the second time.
        """
        self._supersede()
        other = Worker(self.served, self._guesser, self._meter, self._inbox, self._lock)
        struck: dict[Work, set[int]] = {}
        for row in self._stepping.rows if self._stepping else ():
            struck.setdefault(row.work, set()).add(row.book.place)
        self.ledger.recall(struck)
        other.ledger, other.end_at = self.ledger, self.end_at
        self._inbox.put(lambda worker: worker.review())
        return other

    def give_back(self, refusal: EngineError) -> None:
        """End all work: what began is answered with what there is, what did not is refused; needs the lock."""
        self._supersede()
        self._hear()
        self.ledger.give_back(refusal)

    def _supersede(self) -> None:
        """Both threads shall end."""
        self._superseded = True
        self._helpers.close()
        self._news.set()
        self._inbox.wake()

    def _run(self, turn: Callable[[], bool]) -> None:
        """Body of both threads."""
        try:
            while turn():
                pass
        except BaseException:  # whatever it is, the watchdog must find a thread that has ended
            log.error("worker_died", exc_info=True)
        finally:
            self._helpers.close()

    def _attend(self) -> bool:
        """Wait for news and do what they ask for; false at the end."""
        self._inbox.wait(_LOOK_EVERY_S if self.ledger else None, lambda: self._superseded)
        with self._lock:
            if self._superseded:
                return False
            self._hear()
            self.ledger.stop_over()
            self._guess()
        self._news.set()
        return True

    def _turn(self) -> bool:
        """One step, or a wait for news; false at the end."""
        self.beat = monotonic()
        with self._lock:
            if self._superseded:
                return False
            late = self.end_at is not None and monotonic() > self.end_at
            lane = None if late else self._prepare()
            if late or (self.end_at is not None and not self.ledger):
                self.give_back(shutting_down())
                return False
        if lane is None:
            self.beat = None
            self._news.wait(None if self.end_at is None else max(0.0, self.end_at - monotonic()))
            self._news.clear()
            return True
        rows, began, made, failure = len(lane), monotonic(), [], None
        self._stepping = lane
        try:
            made = lane.step()
        except Exception as error:
            failure = error
        seconds = monotonic() - began
        with self._lock:
            if self._superseded:
                return False
            if failure is None:
                self._deliver(lane, rows, made, seconds)
            else:
                self._recover(lane, failure)
            self._stepping = None
            self.lanes = [lane for lane in self.lanes if len(lane)]
        return True

    def _prepare(self) -> Lane | None:
        """Everything between two steps; the batch that goes next, or None."""
        self.ledger.stop_over()
        self._admit()
        turns = [Turn(lane.kind.brief, lane.used_s) for lane in self.lanes]
        return self.lanes[self._shares.choose(turns)] if turns else None

    def _hear(self) -> None:
        while (call := self._inbox.take()) is not None:
            call(self)

    def _admit(self) -> None:
        """Let draws that wait join batches with room."""
        for kind in self.ledger.backlog.kinds:
            lane = next((lane for lane in self.lanes if lane.open and lane.kind == kind), None)
            places = self.served[kind.model].capacity.rows(kind.size)
            room = places - (len(lane) if lane is not None else 0)
            if room < 1 or (lane is not None and not kind.brief and room * _REFILL < places):
                continue
            rows = self.ledger.backlog.take(kind, room)
            if rows and lane is None:
                turns = [Turn(lane.kind.brief, lane.used_s) for lane in self.lanes]
                lane = Lane(self.served[kind.model].model, kind, entry_s(kind.brief, turns))
                self.lanes.append(lane)
            if lane is not None:
                lane.join(rows)

    def _guess(self) -> None:
        """Have guesses made ahead."""
        for brief in (True, False):
            if not self._helpers.free(brief):
                continue
            warm = [work for work in self.ledger if work.warm and work.small == brief]
            for work in sorted(warm, key=lambda work: work.tag_s):
                while self._helpers.free(brief) and (found := work.take_unguessed(_GUESSES_AT_ONCE)) is not None:
                    if not work.begin():
                        break
                    self._helpers.guess(work, *found)

    def _take_guesses(self, work: Work, book: Draws, draws: list[Draw], guesses: Guesses) -> None:
        self._helpers.guessed(work)
        if work.ended:
            return
        work.add_guesses(book, draws, guesses)
        if work.outgrown:
            self.ledger.backlog.drop(work)
            work.become_bulk()
        self.ledger.backlog.offer(work)

    def _deliver(self, lane: Lane, rows: int, made: list[tuple[Row, np.ndarray]], seconds: float) -> None:
        """Count a step, and have checked what it finished."""
        self._failures = 0
        lane.used_s += seconds
        self._shares.charge(lane.kind.brief, seconds)
        size, capacity = lane.kind.size, self.served[lane.kind.model].capacity
        self._meter.step(seconds, capacity.step_s(rows, size), min(1.0, rows / capacity.rows(size)))
        of_book: dict[Draws, list[tuple[Row, np.ndarray]]] = {}
        for row, x in made:
            of_book.setdefault(row.book, []).append((row, x))
        for own in of_book.values():
            self._helpers.check([row for row, _ in own], [x for _, x in own])

    def _settle(self, verdicts: Verdicts) -> None:
        rows, paths, faults = verdicts
        work, book = rows[0].work, rows[0].book
        if work.ended:
            return
        good = book.num_good
        self._meter.settle(book.settle([row.draw for row in rows], paths, faults), faults)
        work.ticket.made += book.num_good - good
        self.ledger.report(work)
        self.ledger.backlog.offer(work)

    def _recover(self, lane: Lane, error: Exception) -> None:
        """After a step that failed: both halves begin again by themselves, until the row is found that cannot be."""
        self.lanes.remove(lane)
        rows, starved = [row for row in lane.rows if not row.gone], is_out_of_memory(error)
        halves = lane.split()
        self._failures += not starved
        if self._failures > _MAX_FAILURES:
            raise error
        if starved:
            error.with_traceback(None)  # its frames hold the tensors of the step
            free_memory()
            self._meter.out_of_memory += 1
            served = self.served[lane.kind.model]
            self.served[lane.kind.model] = replace(served, capacity=served.capacity.halved(len(rows), lane.kind.size))
        if len(rows) > 1:
            log.warning("step_failed", rows=len(rows), size=lane.kind.size, detail=str(error))
            self.lanes += halves
        elif rows and starved:
            log.error("out_of_memory", subject=rows[0].book.subject.id, detail=str(error))
            self._meter.settle(rows[0].book.abandon("out_of_memory"), ["out_of_memory"])
            self.ledger.report(rows[0].work)
        elif rows:
            self.ledger.fail(rows[0].work, error)

    def _tell(self, call: Callable[[], None]) -> None:
        """Leave a message to this worker alone: what another one has begun is begun again by its heir."""
        self._inbox.put(lambda worker: call() if worker is self else None)
