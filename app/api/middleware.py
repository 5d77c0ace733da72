"""Around every request: an id, a log line, metrics, headers, the size limit, and a problem document for what breaks."""

from __future__ import annotations

import asyncio
import secrets
from time import monotonic

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import Problem
from app.telemetry.logs import shortened
from app.telemetry.metrics import Metrics

_PROBES = ("/healthz", "/readyz", "/metrics")
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_POLICY = "default-src 'none'; frame-ancestors 'none'"  # answers that are data load nothing
log = structlog.get_logger("shapespace.http")


class RequestContext:
    """ASGI middleware; the outermost one.

    Args:
        app: The application inside.
        max_body_bytes: Largest body; what says it is larger is refused before it is read.
        metrics: Where requests are counted.
    """

    def __init__(self, app: ASGIApp, max_body_bytes: int, metrics: Metrics) -> None:
        self.app, self.max_body_bytes, self.metrics = app, max_body_bytes, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request through."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        request_id = state["request_id"] = secrets.token_hex(8)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        status, began = 0, monotonic()

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if not headers.get("content-type", "").startswith("text/html"):
                    headers.setdefault("Content-Security-Policy", _POLICY)
            await send(message)

        async def refuse(problem: Problem) -> None:
            state["reason"] = problem.reason
            await problem.response(request_id)(scope, receive, send_marked)

        try:
            crowded = state.pop("crowded", False)  # as the connection says, see `PatientConnection`
            length = Headers(scope=scope).get("content-length", "")
            if crowded and scope["path"] not in _PROBES:  # who looks after the service must see it alive
                words = "too many connections are open; try again in a moment"
                await refuse(Problem(503, "overloaded", words, {"Retry-After": "2", "Connection": "close"}))
            elif length.isdigit() and int(length) > self.max_body_bytes:
                await refuse(too_large(int(length), self.max_body_bytes))
            else:
                await self.app(scope, receive, send_marked)
        except Problem as problem:
            if status:
                raise
            await refuse(problem)
        except asyncio.CancelledError:  # the server was asked to end and has waited long enough
            if not status:
                await refuse(Problem(503, "unavailable", "the service is shutting down", {"Retry-After": "5"}))
            raise
        except Exception:
            log.error("request_failed", exc_info=True)
            if status:
                raise
            detail = f"an unexpected error; the service's log has it under request_id {request_id}"
            await refuse(Problem(500, "internal", detail))
        finally:
            self._record(scope, status, monotonic() - began)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        """Count the request and write its line, without its query, headers and body."""
        reason, who = scope["state"].get("reason"), scope["state"].get("principal")
        route = getattr(scope.get("route"), "path_format", "none")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self.metrics.count_request(route, method, status, seconds)
        if reason:
            self.metrics.count_refusal(reason)
        more = {name: value for name, value in {"reason": reason, "principal": who}.items() if value}
        write = log.debug if scope["path"] in _PROBES else log.info  # probes come every few seconds
        path = shortened(scope["path"])
        write("request", method=scope["method"], path=path, status=status, seconds=round(seconds, 4), **more)


def too_large(size: int | None, allowed: int) -> Problem:
    """The problem for a body over the limit."""
    which = "over the limit" if size is None else f"{size} bytes"
    return Problem(413, "too_large", f"the body is {which}; allowed: {allowed} bytes; send fewer molecules at once")
