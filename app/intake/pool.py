"""A few child processes that do the chemistry of untrusted molecules, each with limits of memory and time."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

from app.intake.child import Child
from app.intake.job import Answer, Job, Loss
from app.intake.queue import Queue
from app.intake.reading import Refusal

_QUICK_S = 0.5  # most readings take milliseconds
_MOST_STOPPED = 8  # jobs; each holds the memory that it has taken so far


@dataclass(frozen=True)
class PoolStats:
    """What the children do now, and what they did.

    Attributes:
        children: Processes, idle ones included.
        running: Jobs in them.
        slow: Those of them that have given their turn away, stopped ones included.
        waiting: Jobs that wait for a turn.
        done: Jobs answered since the start.
        losses: Jobs without an answer of their own, by reason.
    """

    children: int
    running: int
    slow: int
    waiting: int
    done: int
    losses: Mapping[str, int]


class ChildPool:
    """Does jobs in child processes.

    A job that takes longer than a moment gives its turn to the next and goes on beside it, in a process more.  When as
    many as there are children do so, further ones are stopped until one of those has ended.  So molecules that RDKit
    chews on for seconds hold nobody up, and take no more than their share of the processor.

    Args:
        processes: Number of jobs that have a turn at once, and one more where some are urgent and some are not, so that
            who waits at the screen does not wait for others; twice as many processes, and a spare one, may run.
        timeout_s: Processor time for one job of patience 1, s; by the clock it may take ten times as long.
        memory_mb: Address space of a child, MB.
        max_jobs: Jobs that a process does before it is replaced, so that what RDKit leaks stays small.
    """

    def __init__(self, processes: int, timeout_s: float, memory_mb: int, max_jobs: int = 1000) -> None:
        self.timeout_s = timeout_s
        self.requests = 0  # callers with many jobs that wait now, counted by `read` and by `finish_all`
        self._processes, self._memory_mb, self._max_jobs = processes, memory_mb, max_jobs
        self._idle = [Child(memory_mb) for _ in range(processes + 1)]
        self._busy: set[Child] = set()
        self._lock = threading.Lock()
        self._closed = False
        self._turn, self._slow_turn = threading.Semaphore(processes + 1), threading.Semaphore(processes)
        self._stopped = threading.Semaphore(_MOST_STOPPED)
        self._slow, self._done, self._losses = 0, 0, Counter[str]()
        self._waiting = Queue(processes)

    def __len__(self) -> int:
        """Number of jobs that have a turn at once."""
        return self._processes

    def start(self) -> None:
        """Start the children; returns at once, they load in the background."""
        for child in self._idle:
            child.spawn()
        for _ in range(2 * self._processes + 1 + _MOST_STOPPED):
            threading.Thread(target=self._work, name="intake", daemon=True).start()

    def stats(self) -> PoolStats:
        """A picture of this moment."""
        with self._lock:
            running, children = len(self._busy), len(self._busy) + len(self._idle)
            return PoolStats(children, running, self._slow, len(self._waiting), self._done, dict(self._losses))

    def submit(self, job: Job[Answer], urgent: bool = True) -> Future[Answer]:
        """Do one job, in the order of submission; the future never carries an exception of the chemistry.

        Callers with many jobs keep only as many here as there are children, so that callers take turns.

        Args:
            job: What to do.
            urgent: Whether somebody waits for it at the screen; other jobs let some that come later go first.
        """
        future: Future[Answer] = Future()
        with self._lock:
            if not self._closed:
                self._waiting.put((future, job), urgent)
                return future
        future.set_result(job.lost(Loss("unavailable")))
        return future

    async def read(self, readings: Sequence[Job[Answer]], timeout_s: float) -> list[Answer]:
        """Read several texts at once without holding the event loop; what is late gets a `Refusal`, `stopped`."""
        gate = asyncio.Semaphore(len(self))

        async def one(reading: Job[Answer]) -> Answer:
            async with gate:
                return await asyncio.wrap_future(self.submit(reading))

        late = cast(Answer, Refusal("stopped", f"the input was not read within {timeout_s:g} s; send less at once"))
        tasks = [asyncio.create_task(one(reading)) for reading in readings]
        self.requests += 1
        try:
            await asyncio.wait(tasks, timeout=timeout_s)
            return [task.result() if task.done() else late for task in tasks]
        finally:
            self.requests -= 1
            for task in tasks:
                task.cancel()

    def close(self) -> None:
        """Kill the children; what waits is dropped."""
        with self._lock:
            self._closed = True
            for future, _ in self._waiting.close():
                future.cancel()
            for child in (*self._idle, *self._busy):
                child.kill()

    def _work(self) -> None:
        """Body of a thread: it waits for its turn, then for a job."""
        while True:
            self._turn.acquire()
            item, urgent = self._waiting.take()
            if item is None:
                self._turn.release()
                return
            future, job = item
            turn = self._turn
            if future.set_running_or_notify_cancel():
                turn = self._do(future, job, urgent)
            if turn is self._turn:
                self._waiting.done(urgent)
            turn.release()

    def _do(self, future: Future[Answer], job: Job[Answer], urgent: bool) -> threading.Semaphore:
        """Do one job; what is to be released after it."""
        turn = self._turn

        def let_others_go_on() -> None:
            nonlocal turn
            at_once = self._slow_turn.acquire(blocking=False)
            if not at_once and not self._stopped.acquire(blocking=False):
                return
            turn = self._slow_turn
            with self._lock:
                self._slow += 1
                if not self._idle:
                    self._idle.append(self._fresh())
            self._waiting.done(urgent)
            self._turn.release()
            if not at_once:
                child.pause()
                self._slow_turn.acquire()
                self._stopped.release()
                child.go_on()

        child = self._take()
        try:
            answer = child.ask(job, self.timeout_s, _QUICK_S, let_others_go_on)
            with self._lock:
                self._done += 1
                self._losses.update([answer.reason] if isinstance(answer, Loss) else [])
            result = job.lost(answer) if isinstance(answer, Loss) else answer
        except BaseException as error:  # a bug, such as a job that cannot be pickled
            self._give_back(child, turn is self._slow_turn)
            future.set_exception(error)
        else:
            self._give_back(child, turn is self._slow_turn)
            future.set_result(result)
        return turn

    def _take(self) -> Child:
        with self._lock:
            child = next((child for child in self._idle if child.warm), None)
            if child is None:
                child = self._idle[0] if self._idle else self._fresh()
            if child in self._idle:
                self._idle.remove(child)
            self._busy.add(child)
            return child

    def _give_back(self, child: Child, was_slow: bool) -> None:
        with self._lock:
            self._slow -= was_slow
            self._busy.discard(child)
            if self._closed or len(self._idle) > self._processes:
                child.kill()
            elif child.jobs >= self._max_jobs:
                child.kill()
                self._idle.append(self._fresh())
            else:
                self._idle.insert(0, child)

    def _fresh(self) -> Child:
        child = Child(self._memory_mb)
        if not self._closed:
            with suppress(OSError):  # too many processes or files: it starts with its first job
                child.spawn()
        return child
