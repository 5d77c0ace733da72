"""Whose key is it?  The slow hash is paid once for each key, not for each request."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic

from app.access.keys import Key, is_secret, split_token

_FRESH_S = 5.0  # so long a revoked key may still be good
_REMEMBERED = 10_000
_HASHED_AT_ONCE = 2  # wrong keys must not take all threads


class KeyRefused(Exception):
    """The key is not good; the words say why, and nothing that helps to guess one."""


class KeyRing:
    """Checks keys.

    Args:
        find: Reads the key of an id where keys are kept; called in a thread.
        clock: Seconds that never go back.
        now: The time of day, UTC.
    """

    def __init__(
        self,
        find: Callable[[str], Key | None],
        clock: Callable[[], float] = monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._find, self._clock, self._now = find, clock, now
        self._known: OrderedDict[bytes, tuple[Key, float]] = OrderedDict()
        self._pepper = secrets.token_bytes(32)  # memory holds no keys, and no plain hashes of them
        self._gate = asyncio.Semaphore(_HASHED_AT_ONCE)

    async def owner(self, token: str) -> Key:
        """The key that a caller shows.

        Raises:
            KeyRefused: It is unknown, revoked or expired.
        """
        parts = split_token(token)
        if parts is None:
            raise KeyRefused("this is not a key of this service; keys begin with shp_")
        mark = hashlib.blake2b(token.encode(), key=self._pepper).digest()
        known = self._known.get(mark)
        if known is None or self._clock() - known[1] > _FRESH_S:
            read_at = self._clock()
            async with self._gate:
                key = await asyncio.to_thread(self._check, *parts, known[0] if known else None)
            if key is None:
                self._known.pop(mark, None)
                raise KeyRefused("the key is not known here")
            known = self._known[mark] = (key, read_at)
            self._known.move_to_end(mark)
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        state = known[0].state(self._now())
        if state != "active":
            raise KeyRefused(f"the key {known[0].id} is {state}")
        return known[0]

    def _check(self, name: str, secret: str, before: Key | None) -> Key | None:
        """The key as it is kept now, if the secret is its own."""
        key = self._find(name)
        if key is None:  # ids are no secrets: there is nothing to hide by taking longer
            return None
        same = before is not None and before.digest == key.digest
        return key if same or is_secret(secret, key.digest) else None
