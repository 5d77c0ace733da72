"""Messages from any thread to the worker."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Inbox(Generic[T]):
    """Calls that the worker shall make, in the order of their arrival."""

    def __init__(self) -> None:
        self._calls: deque[Callable[[T], None]] = deque()
        self._change = threading.Condition()

    def put(self, call: Callable[[T], None]) -> None:
        """Leave a call, and wake the worker."""
        with self._change:
            self._calls.append(call)
            self._change.notify_all()

    def take(self) -> Callable[[T], None] | None:
        """The oldest call that waits, or None; one at a time, so that none is lost with another that fails."""
        with self._change:
            return self._calls.popleft() if self._calls else None

    def wake(self) -> None:
        """Let those who wait look again whether their time is over."""
        with self._change:
            self._change.notify_all()

    def wait(self, timeout_s: float | None, over: Callable[[], bool] = lambda: False) -> None:
        """Return when there is a call, when its time is over, or after so long."""
        with self._change:
            self._change.wait_for(lambda: self._calls or over(), timeout_s)
