"""Jobs that wait for a turn: urgent ones first, and yet others have theirs too."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future
from itertools import count
from threading import Condition
from typing import Any

from app.intake.job import Job

LETS_BY = 32  # jobs that come later and go before one that is not urgent; a bound, so that it has its turn too
Item = tuple[Future[Any], Job[Any]]


class Queue:
    """First come, first served, among urgent jobs and among the others.

    Args:
        places: Jobs of each sort that have a turn at once, at most.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._running = {True: 0, False: 0}
        self._waiting: dict[bool, deque[tuple[int, Item]]] = {True: deque(), False: deque()}
        self._number = count()
        self._change = Condition()
        self._closed = False

    def __len__(self) -> int:
        """Number of jobs that wait."""
        return sum(map(len, self._waiting.values()))

    def put(self, item: Item, urgent: bool) -> None:
        """Add a job."""
        with self._change:
            self._waiting[urgent].append((next(self._number) + (0 if urgent else LETS_BY), item))
            self._change.notify()

    def take(self) -> tuple[Item | None, bool]:
        """Wait for a job whose turn it is, and whether it is urgent; None when the queue is closed."""
        with self._change:
            self._change.wait_for(lambda: self._closed or self._sorts())
            if self._closed:
                return None, True
            urgent = min(self._sorts(), key=lambda urgent: self._waiting[urgent][0][0])
            self._running[urgent] += 1
            return self._waiting[urgent].popleft()[1], urgent

    def done(self, urgent: bool) -> None:
        """A job that was taken has ended, or has given its turn away."""
        with self._change:
            self._running[urgent] -= 1
            self._change.notify()

    def close(self) -> list[Item]:
        """Take and give no more; the jobs that waited."""
        with self._change:
            self._closed = True
            left = [item for waiting in self._waiting.values() for _, item in waiting]
            self._waiting = {True: deque(), False: deque()}
            self._change.notify_all()
            return left

    def _sorts(self) -> list[bool]:
        """Of which sort a job could have a turn now."""
        return [urgent for urgent, waiting in self._waiting.items() if waiting and self._running[urgent] < self._places]
