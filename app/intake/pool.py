"""A few child processes that do the chemistry of untrusted molecules, each with limits of memory and time."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor
from queue import LifoQueue

from app.intake.child import Child
from app.intake.job import Answer, Job
from app.intake.reading import Reading, Refusal
from models.structure import Molecule


class ChildPool:
    """Does jobs in child processes.

    Args:
        processes: Number of children.
        timeout_s: Wall time for one job of patience 1, s.
        memory_mb: Address space of a child, MB.
    """

    def __init__(self, processes: int, timeout_s: float, memory_mb: int) -> None:
        self.timeout_s = timeout_s
        self.requests = 0  # callers with many jobs that wait now, counted by `read` and by `finish_all`
        self._children = [Child(memory_mb) for _ in range(processes)]
        self._free: LifoQueue[Child] = LifoQueue()
        for child in self._children:
            self._free.put(child)
        self._threads = ThreadPoolExecutor(processes, "intake")

    def __len__(self) -> int:
        """Number of children."""
        return len(self._children)

    def start(self) -> None:
        """Start the children; returns at once, they load in the background."""
        for child in self._children:
            child.spawn()

    def submit(self, job: Job[Answer]) -> Future[Answer]:
        """Do one job, in the order of submission; the future never carries an exception of the chemistry.

        Callers with many jobs keep only as many here as there are children, so that callers take turns.
        """
        return self._threads.submit(self._ask, job)

    async def read(self, readings: list[Reading], timeout_s: float) -> list[list[Molecule] | Refusal]:
        """Read several texts at once without holding the event loop; what is late is refused as `stopped`."""
        gate = asyncio.Semaphore(len(self))

        async def one(reading: Reading) -> list[Molecule] | Refusal:
            async with gate:
                return await asyncio.wrap_future(self.submit(reading))

        late = Refusal("stopped", f"the input was not read within {timeout_s:g} s; send fewer molecules at once")
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
        self._threads.shutdown(wait=False, cancel_futures=True)
        for child in self._children:
            child.kill()

    def _ask(self, job: Job[Answer]) -> Answer:
        child = self._free.get()
        try:
            return child.ask(job, self.timeout_s)
        finally:
            self._free.put(child)
