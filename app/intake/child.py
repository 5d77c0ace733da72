"""One child process and the pipe to it; it is killed and replaced when a job takes too long or ends it."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.context import SpawnProcess

from app.intake.job import Answer, Job, Loss
from app.intake.worker import work

_START_TIMEOUT_S = 60.0  # importing RDKit on a busy machine
_STARTS = 5  # times as long, before it is given up: who is killed while it loads never gets ready
_WALL = 4.0  # times the processor time, for jobs that sleep; less, and one that shares its core is not given enough
_KILLED = Loss("died", "killed from outside")


class Child:
    """A process that does jobs; used by one thread at a time.

    Args:
        memory_mb: Its address space, MB.
    """

    def __init__(self, memory_mb: int) -> None:
        self.memory_mb = memory_mb
        self.jobs = 0  # that this process was given
        self._lock = threading.Lock()
        self._closed = False
        self._process: SpawnProcess | None = None
        self._ready, self._late = False, 0

    @property
    def warm(self) -> bool:
        """Whether it would begin with a job at once."""
        return self._process is not None and (self._ready or self._pipe.poll())

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
            self._ready, self._late, self.jobs = False, 0, 0

    def ask(
        self,
        job: Job[Answer],
        limit_s: float,
        quick_s: float = math.inf,
        on_slow: Callable[[], None] = lambda: None,
    ) -> Answer | Loss:
        """Send one job and wait for the answer; a child that is late or dead is replaced.

        A job whose child was killed by somebody else, such as the kernel when it runs out of memory, is done once more:
        it may not be to blame, and the same input has the same answer.

        Args:
            job: What to do.
            limit_s: Processor time for a job of patience 1, s; by the clock it may take four times as long.
            quick_s: A job that takes longer than this is a slow one, s.
            on_slow: Called once for a slow job, while it goes on.
        """
        called = False

        def call_once() -> None:
            nonlocal called
            if not called:
                called = True
                on_slow()

        answer = self._ask(job, limit_s * job.patience, quick_s, call_once)
        if answer is _KILLED:
            answer = self._ask(job, limit_s * job.patience, quick_s, call_once)
        return answer

    def _ask(self, job: Job[Answer], limit_s: float, quick_s: float, on_slow: Callable[[], None]) -> Answer | Loss:
        try:
            self.spawn()
            if not self._ready:
                if self._closed or not self._pipe.poll(_START_TIMEOUT_S):
                    raise TimeoutError
                self._pipe.recv()
                self._ready = True
            self.jobs += 1
            self._pipe.send((job, limit_s))
            wall_s, answered = limit_s * _WALL, False
            if quick_s < wall_s:
                answered, wall_s = self._pipe.poll(quick_s), wall_s - quick_s
                if not answered:
                    on_slow()
            if answered or self._pipe.poll(wall_s):
                return self._pipe.recv()
            self._restart()
            return Loss("late", f"{limit_s * _WALL:g} s")
        except TimeoutError:
            self._late += 1
            if self._late >= _STARTS:  # else it goes on loading, for the next job
                self._restart()
            return Loss("unavailable")
        except (EOFError, OSError):
            code = self._restart()
            if self._closed:  # by us, so the job is not to blame
                return Loss("unavailable")
            if code == -signal.SIGPROF:
                return Loss("late", f"{limit_s:g} s")
            return _KILLED if code == -signal.SIGKILL else Loss("died")

    def kill(self) -> None:
        """End the process for good."""
        with self._lock:
            self._closed = True
            self._stop()

    def _restart(self) -> int | None:
        """Replace the process; the exit code of the old one."""
        with self._lock:
            code = self._stop()
        self.spawn()
        return code

    def _stop(self) -> int | None:
        if self._process is None:
            return None
        self._process.kill()
        self._process.join()
        code = self._process.exitcode
        self._process.close()
        self._pipe.close()
        self._process = None
        return code
