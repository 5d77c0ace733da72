"""Work for a caller who may go away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from fastapi import Request

from app.engine.engine import Engine
from app.engine.ticket import Ticket
from app.errors import Problem

_LOOK_EVERY_S = 0.25
T = TypeVar("T")


async def while_connected(request: Request, work: Awaitable[T]) -> T:
    """The result of some work, unless the caller closes the connection first.

    Raises:
        Problem: 499, which only the log will see.
    """
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait([task], timeout=_LOOK_EVERY_S)
            if not task.done() and await request.is_disconnected():
                raise Problem(499, "client_gone", "the caller closed the connection")
        return task.result()
    finally:
        task.cancel()


async def sample(ticket: Ticket, engine: Engine, request: Request) -> list[Any]:
    """The ensembles of a ticket; its work is stopped when the caller goes away.

    Raises:
        EngineError: The engine cannot take it.
        Problem: 499, as of `while_connected`.
    """
    engine.submit(ticket)
    try:
        return await while_connected(request, asyncio.wrap_future(ticket.future))
    except (asyncio.CancelledError, Problem):
        ticket.cancel()
        raise
