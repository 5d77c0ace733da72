"""Requests whose bodies are on their way: each has so much time, and the slowest gives its place to the next."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import HTTPException
from starlette.types import Message, Receive

from app.errors import Problem

_PROMPT_S = 1.0  # most bodies are here long before


class Arrival:
    """One request.

    Args:
        receive: Where its messages come from.
        limit_s: Time for the body, s.
    """

    def __init__(self, receive: Receive, limit_s: float) -> None:
        self._receive, self._clock = receive, asyncio.get_running_loop().time
        self.began = self._clock()
        self.whole = False
        self._deadline, self._why = self.began + limit_s, f"within {limit_s:g} s"
        self._timeout: asyncio.Timeout | None = None

    @property
    def prompt(self) -> bool:
        """Whether it has hardly begun."""
        return self._clock() - self.began < _PROMPT_S

    async def receive(self) -> Message:
        """The next message.

        Raises:
            HTTPException: 408 when the time for the body is over.
        """
        if self.whole:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline) as self._timeout:
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(408, f"the body did not arrive {self._why}") from None
        finally:
            self._timeout = None
        self.whole = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    def give_way(self) -> None:
        """Its time is over now."""
        self._deadline, self._why = self._clock(), "as fast as others, while the service was busy"
        if self._timeout is not None:
            self._timeout.reschedule(self._deadline)


class Arrivals:
    """A bounded number of them, so that slow callers can take neither memory nor places from others.

    Args:
        most: How many.
        limit_s: Time for a body, s.
    """

    def __init__(self, most: int, limit_s: float) -> None:
        self.most, self.limit_s = most, limit_s
        self._here: dict[int, Arrival] = {}  # oldest first

    def __len__(self) -> int:
        """How many are on their way."""
        return len(self._here)

    @property
    def prompt(self) -> int:
        """How many of them will be here in a moment."""
        return sum(arrival.prompt for arrival in self._here.values())

    @contextmanager
    def enter(self, receive: Receive, counted: bool) -> Iterator[Receive]:
        """Let one in; it is counted until its body is here, or the block ends without.

        Raises:
            Problem: 503 if there are too many, and none of them is slow.
        """
        arrival = Arrival(receive, self.limit_s)
        if not counted:
            yield arrival.receive
            return
        if len(self._here) >= self.most:
            oldest = next(iter(self._here.values()))
            if oldest.prompt:
                words = f"{len(self._here)} requests are arriving; at most {self.most} may"
                raise Problem(503, "overloaded", words, {"Retry-After": "1"})
            self._leave(oldest)
            oldest.give_way()
        self._here[id(arrival)] = arrival

        async def receive_counted() -> Message:
            message = await arrival.receive()
            if arrival.whole:
                self._leave(arrival)
            return message

        try:
            yield receive_counted
        finally:
            self._leave(arrival)

    def _leave(self, arrival: Arrival) -> None:
        self._here.pop(id(arrival), None)
