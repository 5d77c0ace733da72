"""The one thread that owns the model and the device, and the bounded waiting room in front of it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic

import structlog

from app.engine.packing import pack
from app.engine.ticket import Ticket
from models.data.guess import Guesser, guess_all
from models.errors import ModelError
from models.options import SampleOptions
from models.pipeline import generate
from models.structure import Ensemble, Molecule
from models.weights import Model

log = structlog.get_logger("shapespace.engine")


class EngineError(Exception):
    """The engine cannot take work now; `reason` is a stable word, `retry_after_s` says when to come back."""

    def __init__(self, reason: str, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after_s = retry_after_s


class Engine:
    """Samples tickets in the order of their arrival, several in one call where they fit together.

    Args:
        load: Makes the model; called once, in the engine's thread.
        probe: A small molecule that is sampled before the engine calls itself ready.
        max_waiting: Tickets that may wait.
        guesser: Makes the guesser of each call of the sampler; that of this process by default.
    """

    def __init__(
        self,
        load: Callable[[], Model],
        probe: Callable[[], Molecule],
        max_waiting: int,
        guesser: Callable[[], Guesser] = lambda: guess_all,
    ) -> None:
        self._load, self._probe, self._max_waiting, self._guesser = load, probe, max_waiting, guesser
        self._waiting: deque[Ticket] = deque()
        self._change = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self.state = "loading"
        self.detail = "the model is being loaded"
        self._pace = 1.0  # seconds of the last call, the base of Retry-After
        self.model: Model | None = None

    def start(self) -> None:
        """Load the model in the background."""
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether a real sample was made and the thread lives."""
        return self.state == "ready" and self._thread.is_alive()

    def check_open(self, before: int = 0) -> None:
        """Refuse early, before a request is read in detail.

        Args:
            before: Requests that are being read and will wait here too.

        Raises:
            EngineError: Loading, failed, closing or full.
        """
        if self.state == "loading":
            raise EngineError("loading", "the model is still being loaded; try again in a few seconds", 3)
        if not self.ready:
            raise EngineError("unavailable", f"the sampler does not run: {self.detail}", 60)
        with self._change:
            count = before + sum(not ticket.over() for ticket in self._waiting)
        if count >= self._max_waiting:
            seconds = max(1, round(self._pace * count))
            raise EngineError("overloaded", f"{count} requests are waiting; at most {self._max_waiting} may", seconds)

    def submit(self, ticket: Ticket) -> None:
        """Put a ticket into the waiting room.

        Raises:
            EngineError: As for `check_open`.
        """
        self.check_open()
        with self._change:
            if self._closing:
                raise EngineError("unavailable", "the service is shutting down", 5)
            self._waiting.append(ticket)
            self._change.notify()

    def close(self) -> None:
        """Stop after the current sampler step; waiting tickets are cancelled."""
        with self._change:
            self._closing = True
            self._change.notify()
        if self._thread.ident is not None:
            self._thread.join(timeout=30)

    def _run(self) -> None:
        try:
            self.model = self._load()
            (made,) = generate(self.model, [self._probe()], [1], [0], SampleOptions(steps=2, rounds=1))
            log.info("ready", model=self.model.name, device=str(self.model.device), probe=made.molecule.smiles)
            self.state, self.detail = "ready", "a sample was made"
        except Exception as error:  # the reason must reach /readyz, whatever it is
            known = isinstance(error, ModelError)
            self.state, self.detail = "failed", str(error) if known else "the model failed; the service's log says why"
            log.error("model_failed", detail=str(error), exc_info=not known)
            return
        while True:
            with self._change:
                self._change.wait_for(lambda: self._waiting or self._closing)
                if self._closing:
                    break
                tickets = pack(tuple(self._waiting))
                for ticket in tickets:
                    self._waiting.remove(ticket)
            self._serve(tickets)
        self.state, self.detail = "closed", "the service is shutting down"
        with self._change:
            left = tuple(self._waiting)
        for ticket in left:
            if ticket.claim():
                ticket.future.set_exception(EngineError("unavailable", "the service is shutting down", 5))

    def _serve(self, tickets: Sequence[Ticket]) -> None:
        """Sample and answer some tickets; what one of them breaks is not felt by the others."""
        began = monotonic()
        tickets = [ticket for ticket in tickets if ticket.claim()]
        if not tickets:
            return
        for ticket in tickets:
            ticket.started = began
        try:
            answers = self._sample(tickets)
        except Exception as error:
            if len(tickets) > 1:
                for ticket in tickets:
                    self._serve([ticket])
                return
            log.error("sampling_failed", exc_info=True)
            tickets[0].future.set_exception(error)
            return
        self._pace = monotonic() - began
        for ticket, answer in zip(tickets, answers, strict=True):
            ticket.future.set_result(answer)

    def _sample(self, tickets: Sequence[Ticket]) -> list[list[Ensemble]]:
        assert self.model is not None
        ensembles = generate(
            self.model,
            [molecule for ticket in tickets for molecule in ticket.molecules],
            [count for ticket in tickets for count in ticket.counts],
            [seed for ticket in tickets for seed in ticket.seeds],
            tickets[0].options,
            should_stop=lambda: self._closing or all(ticket.over() for ticket in tickets),
            guesser=self._guesser(),
        )
        answers, at = [], 0
        for ticket in tickets:
            answers.append(ensembles[at : at + len(ticket.molecules)])
            at += len(ticket.molecules)
        return answers
