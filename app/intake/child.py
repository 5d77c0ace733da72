"""One child process and the pipe to it; it is killed and replaced when a job takes too long or ends it."""

from __future__ import annotations

import threading
from multiprocessing import get_context
from multiprocessing.context import SpawnProcess

from app.intake.job import Answer, Job, Loss
from app.intake.worker import work

_START_TIMEOUT_S = 60.0  # importing RDKit on a busy machine


class Child:
    """A process that does jobs; used by one thread at a time.

    Args:
        memory_mb: Its address space, MB.
    """

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

    def ask(self, job: Job[Answer], timeout_s: float) -> Answer:
        """Send one job and wait for the answer; a child that is late or dead is replaced."""
        try:
            self.spawn()
            if not self._ready:
                if not self._pipe.poll(_START_TIMEOUT_S):
                    raise TimeoutError
                self._pipe.recv()
                self._ready = True
            self._pipe.send(job)
            timeout_s *= job.patience
            if self._pipe.poll(timeout_s):
                answer = self._pipe.recv()
                return job.lost(answer) if isinstance(answer, Loss) else answer
            self._restart()
            return job.lost(Loss("late", f"{timeout_s:g} s"))
        except TimeoutError:
            self._restart()
            return job.lost(Loss("unavailable"))
        except (EOFError, OSError):
            self._restart()
            return job.lost(Loss("died"))

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
