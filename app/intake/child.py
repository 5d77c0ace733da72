"""One child process and the pipe to it; it is killed and replaced when a job takes too long or ends it."""

from __future__ import annotations

import math
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess

import structlog

from app.intake.job import Answer, Job, Loss
from app.intake.worker import work

_START_TIMEOUT_S = 60.0  # importing RDKit on a busy machine
_STARTS = 5  # times as long, before it is given up: who is killed while it loads never gets ready
_WALL = 10.0  # times the processor time, for jobs that sleep; less, and a busy machine loses what an idle one makes
_KILLED = Loss("died", "killed from outside")
_BIRTHS = 3  # that may fail for one job
_PAUSE_S, _MAX_PAUSE_S = 0.25, 10.0  # after a process that ended while it loaded, doubled each time
_CHANGES = threading.Lock()  # of processes: two threads that reap them at once would lose an exit code
log = structlog.get_logger("shapespace.intake")


class Child:
    """A process that does jobs; used by one thread at a time.

    Args:
        memory_mb: Its address space, MB.
    """

    def __init__(self, memory_mb: int) -> None:
        self.memory_mb = memory_mb
        self.jobs = 0  # that this process was given
        self._lock = threading.Lock()
        self._end = threading.Event()  # it was ended for good
        self._process: SpawnProcess | None = None
        self._ready, self._late, self._stillborn = False, 0, 0

    @property
    def warm(self) -> bool:
        """Whether it would begin with a job at once."""
        return self._process is not None and (self._ready or self._pipe.poll())

    def spawn(self) -> None:
        """Start the process unless it runs."""
        with self._lock, _CHANGES:
            if self._end.is_set() or (self._process is not None and self._process.is_alive()):
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
            limit_s: Processor time for a job of patience 1, s; by the clock it may take ten times as long.
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
            self._await_ready()
            self.jobs += 1
            self._pipe.send((job, limit_s))
            wall_s, answered = limit_s * _WALL, False
            if quick_s < wall_s:
                answered, wall_s = self._is_heard(quick_s), wall_s - quick_s
                if not answered:
                    on_slow()
            if answered or self._is_heard(wall_s):
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
            if self._end.is_set():  # by us, so the job is not to blame
                return Loss("unavailable")
            if code == -signal.SIGPROF:
                return Loss("late", f"{limit_s:g} s")
            return _KILLED if code == -signal.SIGKILL else Loss("died")

    def pause(self) -> None:
        """Stop the process where it is; it takes no processor time until `go_on`."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """The end of a pause."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the process for good."""
        self._end.set()
        with self._lock:
            self._stop()

    def _await_ready(self) -> None:
        """Return when the process can begin with a job.

        One that ends while it loads, for want of memory or of a library, is replaced after a pause.

        Raises:
            TimeoutError: It is not ready, or has ended again and again.
        """
        for _ in range(_BIRTHS):
            try:
                self.spawn()
                if not self._ready and not self._end.is_set() and self._is_heard(_START_TIMEOUT_S):
                    self._pipe.recv()
                    self._ready, self._stillborn = True, 0
            except (EOFError, OSError) as error:
                with self._lock:
                    code = self._stop()
                pause_s = min(_PAUSE_S * 2.0**self._stillborn, _MAX_PAUSE_S)
                self._stillborn += 1
                if not self._end.is_set():
                    detail = str(error)
                    log.error(
                        "child_ended_at_start", exit_code=code, detail=detail, times=self._stillborn, pause_s=pause_s
                    )
                self._end.wait(pause_s)
                continue
            if self._ready:
                return
            break
        raise TimeoutError

    def _is_heard(self, timeout_s: float) -> bool:
        """Wait for words of the process; false when none came in time.

        Raises:
            EOFError: It has ended without a word, also where something else still holds the other end of the pipe.
        """
        process = self._process
        try:
            heard = process is not None and bool(wait([self._pipe, process.sentinel], timeout_s))
        except ValueError:  # closed meanwhile
            process = None
        if process is None:  # by another thread, which closes the pool
            raise EOFError("it was ended")
        if heard and not self._pipe.poll():
            raise EOFError("it has ended")
        return heard

    def _signal(self, number: int) -> None:
        with self._lock, suppress(ProcessLookupError):
            if self._process is not None and self._process.pid is not None:
                os.kill(self._process.pid, number)

    def _restart(self) -> int | None:
        """Replace the process; the exit code of the old one."""
        with self._lock:
            code = self._stop()
        with suppress(OSError):  # then the next job tries again
            self.spawn()
        return code

    def _stop(self) -> int | None:
        if self._process is None:
            return None
        with _CHANGES:
            self._process.kill()
            self._process.join()
            code = self._process.exitcode
            self._process.close()
        self._pipe.close()
        self._process = None
        return code
