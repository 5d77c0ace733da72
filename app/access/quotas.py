"""How much a caller may still ask for."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter


@dataclass(frozen=True)
class Standing:
    """What is left of one quota.

    Attributes:
        policy: Its name.
        quota: All of it.
        window_s: The time it is for, s.
        remaining: What is left.
        reset_s: When there will be as much as was asked for, or else all of it, s.
        granted: Whether what was asked for was taken.
    """

    policy: str
    quota: int
    window_s: int
    remaining: int
    reset_s: int
    granted: bool


class Quotas:
    """Counts what callers take, in sliding windows."""

    def __init__(self) -> None:
        self._storage = MemoryStorage()
        self._limiter = SlidingWindowCounterRateLimiter(self._storage)

    def per_minute(self, policy: str, caller: str, quota: int, cost: int = 1) -> Standing:
        """Take from a quota for a minute."""
        return self._take(policy, caller, RateLimitItemPerMinute(quota), cost)

    def per_hour(self, policy: str, caller: str, quota: int, cost: int = 1) -> Standing:
        """Take from a quota for an hour."""
        return self._take(policy, caller, RateLimitItemPerHour(quota), cost)

    def _take(self, policy: str, caller: str, item: RateLimitItem, cost: int) -> Standing:
        granted = self._limiter.hit(item, policy, caller, cost=cost)
        before, before_s, now, _ = self._storage.get_sliding_window(item.key_for(policy, caller), item.get_expiry())
        window = item.get_expiry()
        used = before * before_s / window + now
        room = item.amount - (0 if granted else cost)  # what may be used when the time has come
        reset_s = _time_until(room if not granted else 0, before, before_s, now, window)
        return Standing(policy, item.amount, window, max(0, item.amount - math.floor(used)), reset_s, granted)


def _time_until(room: float, before: int, before_s: float, now: int, window: int) -> int:
    """Seconds until the weighted count of the two windows has fallen to `room`, at least 1."""
    if now <= room:
        left_s = before_s - (room - now) * window / before if before else 0.0
    else:  # this window must become the one before, and then fade too
        rest_s = window - time.time() % window
        left_s = rest_s + (1 - max(room, 0) / now) * window
    return max(1, math.ceil(left_s))
