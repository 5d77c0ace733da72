"""The door: who asks, how much they may, and whether there is room, before a body is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.access.keys import SCOPES, Key
from app.access.quotas import Quotas, Standing
from app.access.ring import KeyRefused, KeyRing
from app.api.arrivals import Arrivals
from app.api.deferred import prefers_job
from app.errors import Problem, invalid
from app.settings import Settings

OPEN = frozenset({"/", "/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json", "/healthz", "/readyz"})
_WORK = frozenset({("POST", "/v1/conformers"), ("POST", "/v1/backbones")})
_WRONG_KEYS = 20  # of one address in a minute


class Door:
    """ASGI middleware.

    It puts `principal` (the key's id, or `anonymous`), `scopes` and `caller` (whom quotas are counted for) into the
    request's state.

    Args:
        app: The application inside.
        settings: Quotas and the time for a body.
        ring: Checks keys; None lets everybody in.
        quotas: Counts what callers take.
        check_open: Raises a problem when so many more requests than those that it knows of are too many.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        ring: KeyRing | None,
        quotas: Quotas,
        check_open: Callable[[int], None],
    ) -> None:
        self.app, self.settings, self.ring, self.quotas, self.check_open = app, settings, ring, quotas, check_open
        self.arrivals = Arrivals(settings.max_waiting, settings.body_timeout_s)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request through, or refuse it.

        Raises:
            Problem: 401, 429 or 503.
        """
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state, headers = scope["state"], Headers(scope=scope)
        address = scope["client"][0] if scope.get("client") else "unknown"
        state.update(principal="anonymous", scopes=frozenset(SCOPES), caller=address, key=None, standings=[])
        if self.ring is not None and scope["path"] not in OPEN:
            key = await self._authenticate(headers, address, self.ring)
            state.update(principal=key.id, scopes=key.scopes, caller=key.id, key=key)

        async def send_standing(message: Message) -> None:
            if message["type"] == "http.response.start" and state["standings"]:
                MutableHeaders(scope=message).update(rate_limit_fields(state["standings"]))
            await send(message)

        work = (scope["method"], scope["path"]) in _WORK
        if work:
            per_minute = _allowance(state["key"], self.settings, "requests_per_minute")
            if per_minute:
                _take(state["standings"], self.quotas.per_minute("requests", state["caller"], per_minute))
            asks_for_job = prefers_job(headers.getlist("prefer")) or "idempotency-key" in headers
            if not asks_for_job:  # jobs can wait
                self.check_open(self.arrivals.prompt)
        with self.arrivals.enter(receive, counted=work) as receive_in_time:
            await self.app(scope, receive_in_time, send_standing)

    async def _authenticate(self, headers: Headers, address: str, ring: KeyRing) -> Key:
        token = headers.get("x-api-key") or _bearer(headers.get("authorization", ""))
        if not token:
            raise _unauthorized("a key is needed: send it as 'Authorization: Bearer KEY', or in X-API-Key")
        try:
            return await ring.owner(token)
        except KeyRefused as error:
            standing = self.quotas.per_minute("wrong_keys", address, _WRONG_KEYS)
            if not standing.granted:
                raise Problem(
                    429, "too_many_requests", "too many wrong keys from this address",
                    {"Retry-After": str(standing.reset_s)},
                ) from None  # fmt: skip
            raise _unauthorized(str(error)) from None


def needs(scope: str) -> Callable[[Request], None]:
    """A dependency that refuses keys without this scope."""

    def check(request: Request) -> None:
        if scope not in request.state.scopes:
            has = ", ".join(sorted(request.state.scopes)) or "none"
            detail = f"the key {request.state.principal} has the scopes: {has}; needed: {scope}"
            raise Problem(403, "forbidden", detail)

    return check


def charge(request: Request, structures: int, field: str = "num_conformers") -> None:
    """Take conformers or backbones from the caller's quota for an hour, if there is one.

    Args:
        request: Whose.
        structures: How many.
        field: Of the request, that says so.

    Raises:
        Problem: 429 if it will have room later; 422 if it never will.
    """
    quota = _allowance(request.state.key, request.app.state.settings, "conformers_per_hour")
    if not quota:
        return
    if structures > quota:
        raise invalid(field, structures, "that is more than your quota for an hour", f"at most {quota}")
    standing = request.app.state.quotas.per_hour("conformers", request.state.caller, quota, structures)
    _take(request.state.standings, standing)


def rate_limit_fields(standings: list[Standing]) -> dict[str, str]:
    """The header fields `RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers-10."""
    return {
        "RateLimit-Policy": ", ".join(f'"{s.policy}";q={s.quota};w={s.window_s}' for s in standings),
        "RateLimit": ", ".join(f'"{s.policy}";r={s.remaining};t={s.reset_s}' for s in standings),
    }


def _take(standings: list[Standing], standing: Standing) -> None:
    standings.append(standing)
    if not standing.granted:
        words = f"your quota of {standing.quota} {standing.policy} in {standing.window_s} s is used up"
        detail = f"{words}; {standing.remaining} are left; try again in {standing.reset_s} s"
        headers = {"Retry-After": str(standing.reset_s), **rate_limit_fields(standings)}
        raise Problem(429, "too_many_requests", detail, headers)


def _allowance(key: Key | None, settings: Settings, name: str) -> int:
    """A quota of the key, or else of the settings; 0 is none."""
    own: int | None = getattr(key, name) if key else None
    default: int = getattr(settings, name)
    return default if own is None else own


def _bearer(header: str) -> str:
    kind, _, token = header.partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


def _unauthorized(detail: str) -> Problem:
    return Problem(401, "unauthorized", detail, {"WWW-Authenticate": 'Bearer realm="shapespace"'})


def document_keys(document: dict[str, Any]) -> None:
    """Put the need of a key into an OpenAPI document."""
    document["components"]["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "The key that `shapespace keys create` printed."},
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    for path, operations in document["paths"].items():
        for operation in operations.values():
            operation["security"] = [] if path in OPEN else [{"bearer": []}, {"header": []}]
            if path not in OPEN:
                operation["responses"]["401"] = {"description": "No key, or one that is not good."}
                operation["responses"]["403"] = {"description": "The key has not the scope for this."}
