"""Many requests, one device: the door to the worker, and the watchdog behind it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from math import ceil
from time import monotonic

import structlog

from app.engine.capacity import Served, calibrate
from app.engine.inbox import Inbox
from app.engine.packing import size_of
from app.engine.refusal import EngineError, shutting_down
from app.engine.stats import EngineStats, Meter
from app.engine.ticket import MAIN, Ticket
from app.engine.worker import Worker
from models.data.guess import Guesser, guess_all
from models.errors import ModelError
from models.options import SampleOptions
from models.pipeline import generate
from models.structure import Subject
from models.weights import Model

__all__ = ["Engine", "EngineError"]
log = structlog.get_logger("shapespace.engine")
_MAX_RESTARTS = 3  # one after another, without a step between them
_MAX_RETRY_AFTER_S = 600
_PATIENCE_S = 30.0  # for a step to end when the service does


class Engine:
    """Samples tickets, all of them at once as far as the device has room.

    Args:
        load: Makes the model; called once, in the engine's thread.
        probe: A small molecule that is sampled before the engine calls itself ready.
        more: Further models by name, each with its own probe; one whose loader returns None is not served.
        max_waiting: Tickets of priority 0 or more that may wait.
        guesser: Makes the guesser of each ticket, told whether it is brief; that of this process by default.
        drain_s: Time for what is there when the service ends, s.
        stuck_after_s: A step that takes longer than this is a breakdown, s.
    """

    def __init__(
        self,
        load: Callable[[], Model],
        probe: Callable[[], Subject],
        max_waiting: int,
        guesser: Callable[[bool], Guesser] = lambda brief: guess_all,
        drain_s: float = 10.0,
        stuck_after_s: float = 60.0,
        more: Mapping[str, tuple[Callable[[], Model | None], Callable[[], Subject]]] | None = None,
    ) -> None:
        self._loaders = {MAIN: (load, probe), **(more or {})}
        self._max_waiting, self._guesser = max_waiting, guesser
        self._drain_s, self._stuck_after_s = drain_s, stuck_after_s
        self._inbox: Inbox[Worker] = Inbox()
        self._lock = threading.RLock()  # of everything the worker keeps
        self._tickets: set[Ticket] = set()
        self._door = threading.Lock()  # of the set above
        self._closing = threading.Event()
        self._meter = Meter()
        self._worker: Worker | None = None
        self._restarts, self._failing, self._steps_before = 0, 0, -1
        self._state, self._detail = "loading", "the model is being loaded"
        self._thread = threading.Thread(target=self._supervise, name="watchdog", daemon=True)
        self.served: dict[str, Served] = {}  # with costs as they were measured at the start

    def start(self) -> None:
        """Load the model in the background."""
        self._thread.start()

    @property
    def model(self) -> Model | None:
        """The main model, as soon as it is loaded."""
        return self.served[MAIN].model if MAIN in self.served else None

    @property
    def state(self) -> str:
        """`loading`, `ready`, `stuck`, `dead`, `failed`, `closing` or `closed`."""
        if self._state != "ready" or self._worker is None:
            return self._state
        if not self._worker.alive:
            return "dead"
        return "stuck" if self._heartbeat_age_s() > self._stuck_after_s else "ready"

    @property
    def detail(self) -> str:
        """The state in words."""
        if self.state == "stuck":
            return f"a step has taken more than {self._stuck_after_s:g} s"
        return "the sampler has died and is started again" if self.state == "dead" else self._detail

    @property
    def ready(self) -> bool:
        """Whether a real sample was made, and the worker lives and moves."""
        return self.state == "ready"

    def check_open(self, before: int = 0, priority: int = 0) -> None:
        """Refuse early, before a request is read in detail.

        Args:
            before: Requests that are being read and will wait here too.
            priority: Of the ticket; below 0 the backlog has no bound.

        Raises:
            EngineError: Loading, failed, closing or full.
        """
        if self._closing.is_set():
            raise shutting_down()
        if self.state == "loading":
            raise EngineError("loading", "the model is still being loaded; try again in a few seconds", 3)
        if not self.ready:
            raise EngineError("unavailable", f"the sampler does not run: {self.detail}", 60)
        if priority < 0:
            return
        with self._door:
            count = before + sum(t.waiting and t.priority >= 0 and not t.over() for t in self._tickets)
        if count >= self._max_waiting:
            message = f"{count} requests are waiting; at most {self._max_waiting} may"
            raise EngineError("overloaded", message, self.retry_after_s())

    def submit(self, ticket: Ticket) -> None:
        """Take in a ticket; its future, and `on_molecule`, tell the rest.

        Raises:
            EngineError: As for `check_open`.
        """
        self.check_open(priority=ticket.priority)
        ticket.submitted = monotonic()
        with self._door:
            self._tickets.add(ticket)
        ticket.future.add_done_callback(lambda future: self._forget(ticket))
        self._inbox.put(lambda worker: worker.enter(ticket))
        if self._state in ("failed", "closed"):  # between the check and now: nobody hears it any more
            ticket.future.cancel()
            self.check_open()

    def retry_after_s(self) -> int:
        """When to come back: at the measured pace, half of what waits now is then done, s."""
        return min(max(1, ceil(self.stats().left_s / 2)), _MAX_RETRY_AFTER_S)

    def estimate_s(self, model: str, tokens: Sequence[int], count: int, options: SampleOptions) -> float:
        """Time of structures if nothing else is done and each is good at once, at the pace of the start, s.

        Args:
            model: Name of the model among those of the engine.
            tokens: Of each subject.
            count: Structures of each.
            options: How to sample.
        """
        capacity = self.served[model].capacity
        return count * sum(capacity.draw_s(size_of(number), options) for number in tokens)

    def stats(self) -> EngineStats:
        """What the engine is doing."""
        worker, meter = self._worker, self._meter
        with self._door:
            waiting = sum(ticket.waiting for ticket in self._tickets)
            running = len(self._tickets) - sum(ticket.started is None for ticket in self._tickets)
        draws = rows = batches = 0
        left_s = 0.0
        if worker is not None and self._lock.acquire(timeout=1.0):
            try:
                draws = worker.ledger.due
                left_s = worker.ledger.left_s * meter.pace
                rows, batches = sum(map(len, worker.lanes)), len(worker.lanes)
            finally:
                self._lock.release()
        return meter.snapshot(
            state=self.state,
            waiting_tickets=waiting,
            waiting_draws=draws,
            running_tickets=running,
            running_rows=rows,
            batches=batches,
            left_s=left_s,
            heartbeat_age_s=self._heartbeat_age_s(),
            restarts=self._restarts,
        )

    def close(self, drain_s: float | None = None) -> None:
        """Take in no more, go on for a while with what is there, and give the rest back.

        Args:
            drain_s: How long; the engine's own time by default.  Tickets that have begun are then answered with what
                there is, the rest being `stopped`; those that have not get an `EngineError`.
        """
        drain_s = self._drain_s if drain_s is None else drain_s
        self._closing.set()
        if self._state in ("ready", "closing"):
            self._state, self._detail = "closing", "the service is shutting down"
        if self._thread.ident is not None:
            self._thread.join(timeout=_PATIENCE_S)
        worker = self._worker
        if worker is not None:
            worker.end_at = monotonic() + drain_s
            self._inbox.put(lambda worker: None)
            worker.thread.join(timeout=drain_s + _PATIENCE_S)
            if self._lock.acquire(timeout=_PATIENCE_S):
                # nothing is left, unless the worker is stuck, or something came in at the last moment
                try:
                    worker.give_back(shutting_down())
                finally:
                    self._lock.release()
        if self._state != "failed":  # which the process shall tell by its exit code
            self._state, self._detail = "closed", "the service is shutting down"

    def _supervise(self) -> None:
        """Load the model, start the worker, and watch it."""
        try:
            for name, (load, probe) in self._loaders.items():
                if (model := load()) is not None:
                    subject = probe()
                    generate(model, [subject], [1], [0], SampleOptions(steps=2, rounds=1))
                    self.served[name] = Served(model, calibrate(model, subject))
        except Exception as error:  # the reason must reach /readyz, whatever it is
            known = isinstance(error, ModelError)
            self._state, self._detail = (
                "failed",
                str(error) if known else "the model failed; the service's log says why",
            )
            log.error("model_failed", detail=str(error), exc_info=not known)
            return
        if self._closing.is_set():
            return
        for served in self.served.values():
            log.info("ready", model=served.model.name, device=str(served.model.device), capacity=vars(served.capacity))
        self._begin(Worker(dict(self.served), self._guesser, self._meter, self._inbox, self._lock))
        self._state, self._detail = "ready", "a sample was made"
        while not self._closing.wait(min(0.25, self._stuck_after_s / 4)):
            self._watch()

    def _begin(self, worker: Worker) -> None:
        self._worker = worker
        worker.start()

    def _watch(self) -> None:
        """Replace a worker that is dead or stuck; after several in vain, give up."""
        worker = self._worker
        if self.state not in ("dead", "stuck") or worker is None:
            return
        log.error("worker_lost", state=self.state, heartbeat_age_s=round(self._heartbeat_age_s(), 1))
        self._failing = self._failing + 1 if self._meter.steps == self._steps_before else 1
        self._steps_before = self._meter.steps
        if not self._lock.acquire(timeout=1.0):
            return  # stuck between two steps, where nothing can be taken from it
        try:
            if self._failing > _MAX_RESTARTS:
                self._detail = "it broke down again and again; the service's log says why"
                self._state = "failed"
                worker.give_back(EngineError("unavailable", f"the sampler does not run: {self._detail}", 60))
                return
            self._restarts += 1
            self._begin(worker.heir())
        finally:
            self._lock.release()

    def _heartbeat_age_s(self) -> float:
        """Time since the worker's last sign of life, 0 while it has nothing to do, s."""
        beat = self._worker.beat if self._worker else None
        return 0.0 if beat is None else monotonic() - beat

    def _forget(self, ticket: Ticket) -> None:
        with self._door:
            self._tickets.discard(ticket)
