"""Around every request: an id, one log line, the size limit, and a problem document when something breaks."""

from __future__ import annotations

import asyncio
import secrets
from time import monotonic

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import Problem

_PROBES = ("/healthz", "/readyz")
log = structlog.get_logger("shapespace.http")


class RequestContext:
    """ASGI middleware; the outermost one.

    Args:
        app: The application inside.
        max_body_bytes: Largest body; what says it is larger is refused before it is read.
    """

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self.app, self.max_body_bytes = app, max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request through."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = scope.setdefault("state", {})["request_id"] = secrets.token_hex(8)
        status, began = 0, monotonic()

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                headers["X-Content-Type-Options"] = "nosniff"
            await send(message)

        try:
            length = Headers(scope=scope).get("content-length", "")
            if length.isdigit() and int(length) > self.max_body_bytes:
                await too_large(int(length), self.max_body_bytes).response(request_id)(scope, receive, send_marked)
            else:
                await self.app(scope, receive, send_marked)
        except asyncio.CancelledError:  # the server was asked to end and has waited long enough
            if not status:
                problem = Problem(503, "unavailable", "the service is shutting down", {"Retry-After": "5"})
                await problem.response(request_id)(scope, receive, send_marked)
            raise
        except Exception:
            log.error("request_failed", request_id=request_id, exc_info=True)
            if status:
                raise
            detail = f"an unexpected error; the service's log has it under request_id {request_id}"
            await Problem(500, "internal", detail).response(request_id)(scope, receive, send_marked)
        finally:
            write = log.debug if scope["path"] in _PROBES else log.info  # probes come every few seconds
            write(
                "request",
                request_id=request_id,
                method=scope["method"],
                path=scope["path"],
                status=status,
                seconds=round(monotonic() - began, 4),
            )


def too_large(size: int | None, allowed: int) -> Problem:
    """The problem for a body over the limit."""
    which = "over the limit" if size is None else f"{size} bytes"
    return Problem(413, "too_large", f"the body is {which}; allowed: {allowed} bytes; send fewer molecules at once")
