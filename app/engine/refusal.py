"""Why the engine cannot take work now."""

from __future__ import annotations


class EngineError(Exception):
    """The engine cannot take work now; `reason` is a stable word, `retry_after_s` says when to come back."""

    def __init__(self, reason: str, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after_s = retry_after_s


def shutting_down() -> EngineError:
    """The answer to all who come, or still wait, when the service ends."""
    return EngineError("unavailable", "the service is shutting down", 5)
