"""What a child process can be asked to do.  A new kind of work is a new subclass; pool and child stay as they are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Loss:
    """Why a job has no answer of its own.

    Attributes:
        reason: `late` (killed at its time limit), `died`, `memory`, `error` (a bug), `unavailable` (no child started).
        detail: The limit that was passed, or the error.
    """

    reason: Literal["late", "died", "memory", "error", "unavailable"]
    detail: str = ""


class Job(ABC, Generic[Answer]):
    """One piece of work for a child; it and its answer travel by pickle.

    Modules of jobs import nothing heavy at their top, since a child must set its limits first; what `run` needs is also
    named in `worker.LOADED`, so that the time of the first job is its own.
    """

    @property
    def patience(self) -> float:
        """How many times the pool's time limit this job may take."""
        return 1.0

    @abstractmethod
    def run(self) -> Answer:
        """Do the work; called in the child."""

    @abstractmethod
    def lost(self, loss: Loss) -> Answer:
        """What stands in place of the answer; called in the parent, so that a loss is never an exception."""
