"""What items of jobs are made with: reading, sampling and finishing, each with bounded room."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog

from app.engine.engine import Engine, EngineError
from app.engine.ticket import Ticket
from app.intake.finisher import finish_all
from app.intake.pool import ChildPool
from app.intake.reading import Reading, Refusal
from models.finishing.options import FinishOptions
from models.structure import Ensemble, Molecule

_PRIORITY = -1
_TRIES = 3
_PAUSE_S = 1.0
T = TypeVar("T")
log = structlog.get_logger("shapespace.jobs")


class NotNowError(Exception):
    """The work was given back undone; it can be done again with the same result."""


@dataclass
class Task:
    """One item on its way.

    Attributes:
        interactive: Whether somebody waits for it at the screen.
        tickets: What the sampler was asked for.
        told: Structures of it that the database knows of.
    """

    interactive: bool
    tickets: list[Ticket] = field(default_factory=list)
    told: int = 0

    @property
    def made(self) -> int:
        """Structures of it so far."""
        return sum(ticket.made for ticket in self.tickets)


class Maker:
    """Makes the items of all jobs of this server, without standing in anybody's way.

    The result is that of the same request without a job.

    Args:
        engine: Samples.
        pool: Reads and finishes.
        in_flight: Structures that may be with the sampler at once, or else one item with more.
    """

    def __init__(self, engine: Engine, pool: ChildPool, in_flight: int) -> None:
        self._engine, self._pool = engine, pool
        self._in_flight, self._room = in_flight, Room(in_flight)
        self._reading, self._finishing = asyncio.Semaphore(len(pool)), asyncio.Semaphore(1)

    async def make(self, work: Callable[[Task, Maker], Awaitable[T]], task: Task, name: str) -> T | Refusal:
        """What some work makes with the methods below, or why it cannot; waits while the sampler is away.

        Args:
            work: Makes one item; see `app.jobs.kinds`.
            task: Tells how far it is.
            name: Of the item, for the log.
        """
        tries = 0
        while True:
            task.tickets.clear()
            try:
                return await work(task, self)
            except (NotNowError, EngineError):
                pass
            except Exception:
                tries += 1
                log.error("item_failed", name=name, tries=tries, exc_info=True)
                if tries == _TRIES:
                    return Refusal("sampling_failed", "the sampler failed on this one; the service's log says why")
            await asyncio.sleep(_PAUSE_S)

    async def read(self, reading: Reading, task: Task) -> list[Molecule] | Refusal:
        """The molecules of a text.

        Raises:
            NotNowError: There is no process to read it.
        """
        async with self._reading:
            read = await asyncio.wrap_future(self._pool.submit(reading, task.interactive))
        if isinstance(read, Refusal) and read.reason == "intake_unavailable":
            raise NotNowError(read.detail)
        return read

    async def sample(self, ticket: Ticket, task: Task) -> Any:
        """The ensemble of a ticket for one molecule or backbone; the ticket is cancelled with this call.

        Raises:
            EngineError: The engine cannot take it.
        """
        async with self._room.take(min(ticket.conformers, self._in_flight)):
            task.tickets.append(ticket)
            if not task.interactive:
                ticket.priority = _PRIORITY
            self._engine.submit(ticket)
            try:
                (ensemble,) = await asyncio.wrap_future(ticket.future)
            except asyncio.CancelledError:
                ticket.cancel()
                raise
        return ensemble

    async def finish(self, ensembles: list[Ensemble], options: FinishOptions) -> list[Ensemble]:
        """The ensembles relaxed, pruned and ranked as the options say."""
        if not options:
            return ensembles
        async with self._finishing:
            return await finish_all(self._pool, ensembles, options, lambda: False)


class Room:
    """So much may be in it at once; who comes first goes in first.

    Args:
        size: How much.
    """

    def __init__(self, size: int) -> None:
        self._left = size
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def take(self, amount: int) -> AsyncIterator[None]:
        """Wait for room, and give it back in the end."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((amount, turn))
        self._admit()
        try:
            await turn
            yield
        finally:
            if turn.done() and not turn.cancelled():
                self._left += amount
            elif (amount, turn) in self._waiting:
                self._waiting.remove((amount, turn))
            self._admit()

    def _admit(self) -> None:
        while self._waiting and (self._waiting[0][1].done() or self._waiting[0][0] <= self._left):
            amount, turn = self._waiting.popleft()
            if not turn.done():  # else it was cancelled
                self._left -= amount
                turn.set_result(None)


async def together(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """All results; when one fails, or nobody waits any more, the others are ended."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
