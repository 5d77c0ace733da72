"""The child process: one job in, one answer out, until it is ended.

RDKit can take minutes or gigabytes on a short text, or crash.  Here it can be killed without harm.
"""

from __future__ import annotations

import ctypes
import logging
import os
import resource
import signal
import sys
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection
from typing import NoReturn

from app.intake.job import Job, Loss

LOADED = ("models.data.molecule", "models.data.guess", "models.finishing.finish")  # what jobs need
_PR_SET_PDEATHSIG = 1  # prctl(2); sent when the thread ends that started the child
_NICE = 5  # the sampler goes first; a short job does not feel it


def work(connection: Connection, memory_mb: int) -> None:
    """Body of the child.  Says `None` once it is ready; then answers each `Job`, with a `Loss` where it fails.

    Jobs come with their processor time, s.  The kernel ends the process when that is used up, also inside RDKit and
    when there is no parent any more that could.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    if sys.platform == "linux":  # or one that is stopped would stay when its parent was killed
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # each thread would reserve address space
    os.nice(_NICE)
    size = memory_mb * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for name in LOADED:
        import_module(name)
    logging.getLogger("rdkit").handlers.clear()  # its words go into the refusals
    with suppress(EOFError, ConnectionError):  # there is no parent any more
        _answer(connection, memory_mb)


def _answer(connection: Connection, memory_mb: int) -> NoReturn:
    connection.send(None)
    while True:
        job: Job[object]
        job, limit_s = connection.recv()
        signal.setitimer(signal.ITIMER_PROF, limit_s)  # SIGPROF, unhandled; RLIMIT_CPU would count whole seconds
        try:
            answer = job.run()
        except MemoryError:
            answer = Loss("memory", f"{memory_mb} MB")
        except Exception as error:  # a bug in a job must not cost its neighbours their process
            answer = Loss("error", f"{type(error).__name__}: {str(error)[:200]}")
        signal.setitimer(signal.ITIMER_PROF, 0)
        connection.send(answer)
