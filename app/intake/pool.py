"""A few child processes that read molecules, each killed and replaced when it takes too long or dies."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing import get_context
from multiprocessing.context import SpawnProcess
from queue import LifoQueue

from app.intake.worker import Reading, Refusal, work
from models.structure import Molecule

_START_TIMEOUT_S = 60.0  # importing RDKit on a busy machine


class ReadingPool:
    """Reads molecules in child processes.

    Args:
        processes: Number of children.
        timeout_s: Wall time for one text, s.
        memory_mb: Address space of a child, MB.
    """

    def __init__(self, processes: int, timeout_s: float, memory_mb: int) -> None:
        self.timeout_s = timeout_s
        self.requests = 0  # callers of `read` that wait now
        self._children = [_Child(memory_mb) for _ in range(processes)]
        self._free: LifoQueue[_Child] = LifoQueue()
        for child in self._children:
            self._free.put(child)
        self._threads = ThreadPoolExecutor(processes, "intake")

    def start(self) -> None:
        """Start the children; returns at once, they load in the background."""
        for child in self._children:
            child.spawn()

    def submit(self, reading: Reading) -> Future[list[Molecule] | Refusal]:
        """Read one text; the future never carries an exception of the chemistry."""
        return self._threads.submit(self._read, reading)

    async def read(self, readings: list[Reading], timeout_s: float) -> list[list[Molecule] | Refusal]:
        """Read several texts at once without holding the event loop; what is late is refused as `stopped`.

        Each caller has only a few texts in the queue at a time, so that callers take turns.
        """
        gate = asyncio.Semaphore(len(self._children))

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

    def _read(self, reading: Reading) -> list[Molecule] | Refusal:
        child = self._free.get()
        try:
            return child.ask(reading, self.timeout_s)
        finally:
            self._free.put(child)


class _Child:
    """One process and the pipe to it; used by one thread at a time."""

    def __init__(self, memory_mb: int) -> None:
        self.memory_mb = memory_mb
        self._lock = threading.Lock()
        self._closed = False
        self._process: SpawnProcess | None = None
        self._ready = False

    def spawn(self) -> None:
        """Start the process unless it runs."""
        with self._lock:
            if self._closed or (self._process is not None and self._process.is_alive()):
                return
            context = get_context("spawn")
            self._pipe, far_end = context.Pipe()
            process = context.Process(
                target=work, args=(far_end, self.memory_mb), daemon=True, name="shapespace-intake"
            )
            process.start()
            self._process = process
            far_end.close()
            self._ready = False

    def ask(self, reading: Reading, timeout_s: float) -> list[Molecule] | Refusal:
        """Send one text and wait for the answer; a child that is late or dead is replaced."""
        try:
            self.spawn()
            if not self._ready:
                if not self._pipe.poll(_START_TIMEOUT_S):
                    raise TimeoutError
                self._pipe.recv()
                self._ready = True
            self._pipe.send(reading)
            timeout_s *= max(1.0, reading.enumerate_up_to / 2)
            if self._pipe.poll(timeout_s):
                return self._pipe.recv()
            self._restart()
            advice = "simplify the molecule"
            if reading.enumerate_up_to > 1:
                advice = "specify more of its stereo, or ask for fewer stereoisomers"
            return Refusal("too_complex", f"reading the input took more than {timeout_s:g} s; {advice}")
        except TimeoutError:
            self._restart()
            return Refusal("intake_unavailable", "the process that reads molecules did not start; try again")
        except (EOFError, OSError):
            self._restart()
            return Refusal("too_complex", "reading the input ended its process; simplify the molecule")

    def kill(self) -> None:
        """End the process for good."""
        with self._lock:
            self._closed = True
            self._stop()

    def _restart(self) -> None:
        with self._lock:
            self._stop()
        self.spawn()

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
            self._pipe.close()
            self._process = None
