"""What the service refuses, as exceptions: one for each thing that a caller can do about it."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx


class ServiceError(Exception):
    """The service refused, or could not be reached.

    Attributes:
        status: HTTP status; 0 when there was no answer.
        reason: Stable word, the last part of the problem's type.
        problem: The problem document (RFC 9457).
        retry_after_s: When the service wants to be asked again, s; None when it does not say.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        detail: str,
        problem: dict[str, Any] | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.reason, self.problem, self.retry_after_s = status, reason, problem or {}, retry_after_s


class UnreachableError(ServiceError):
    """There was no answer: a wrong address, a service that is down, a broken network."""


class AccessError(ServiceError):
    """No API key, a wrong one, or one without the scope for this."""


class NotFoundError(ServiceError):
    """There is no such job, or it is another's, or it has expired."""


class RequestError(ServiceError):
    """The request is not valid, or nothing could be made of it; another one is needed.

    Attributes:
        errors: Each with `field`, `value`, `message` and `allowed`, where the service names fields.
    """

    @property
    def errors(self) -> list[dict[str, Any]]:
        """The fields at fault."""
        return list(self.problem.get("errors", []))


class BusyError(ServiceError):
    """The service is full, starting or ending, or a quota is used up: the same request may succeed later."""


_KINDS: dict[int, type[ServiceError]] = {
    401: AccessError,
    403: AccessError,
    404: NotFoundError,
    406: RequestError,
    409: BusyError,
    413: RequestError,
    415: RequestError,
    422: RequestError,
    429: BusyError,
    502: BusyError,
    503: BusyError,
    504: BusyError,
}


def to_error(reply: httpx.Response | httpx.TransportError | None) -> ServiceError:
    """The exception for an answer that is not a success, or for none."""
    if not isinstance(reply, httpx.Response):
        return UnreachableError(0, "unreachable", f"the service does not answer ({reply}); is the address right?")
    status, kind = reply.status_code, _KINDS.get(reply.status_code, ServiceError)
    try:
        problem = reply.json()
        reason, detail = problem["type"].rpartition(":")[2], problem["detail"]
    except (ValueError, KeyError, TypeError, AttributeError):
        problem, reason, detail = None, "http_error", f"HTTP status {status}: {reply.text[:200]}"
    return kind(status, reason, detail, problem, retry_after_s(reply))


def retry_after_s(response: httpx.Response) -> float | None:
    """`Retry-After` of a response, s: it may be a number or a date."""
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
