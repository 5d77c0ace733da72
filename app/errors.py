"""Every refusal to HTTP status and RFC 9457 problem JSON, in one table."""

from __future__ import annotations

import math
import reprlib
from typing import Any

from fastapi.responses import JSONResponse

from models.errors import ModelError

MEDIA_TYPE = "application/problem+json"
_MAX_VALUE_CHARS = 80

TITLES = {
    "invalid_request": "The request is not valid",
    "invalid_http": "The request is not HTTP/1.1",
    "invalid_json": "The request is not valid JSON",
    "invalid_molecule": "No molecule could be sampled",
    "invalid_sampler": "The sampler settings do not fit",
    "invalid_backbone": "No backbone could be sampled",
    "invalid_structure": "The structure cannot be read",
    "no_protein": "The structure has no protein backbone",
    "invalid_chain": "The chain is not in the structure",
    "invalid_range": "The residues are not in the structure",
    "structure_too_large": "The structure is too large",
    "not_served": "No such model is served here",
    "invalid_finish": "The finishing options do not fit",
    "invalid_format": "The structures cannot be written in this format",
    "unauthorized": "The key is missing or not good",
    "forbidden": "The key does not allow this",
    "too_many_requests": "The quota is used up",
    "too_slow": "The request did not arrive in time",
    "client_gone": "The caller has left",
    "too_large": "The request body is too large",
    "not_acceptable": "None of the accepted media types can be made",
    "unsupported_media_type": "The body must be JSON",
    "key_reused": "The Idempotency-Key belongs to another request",
    "in_progress": "The first request with this Idempotency-Key is being served",
    "no_result": "There is no result",
    "storage_unavailable": "The service cannot keep records now",
    "not_found": "There is nothing at this address",
    "method_not_allowed": "This method is not allowed here",
    "loading": "The service is starting",
    "overloaded": "The service is full",
    "unavailable": "The service cannot sample now",
    "internal": "Something went wrong in the service",
}

_STATUS = {"invalid_sampler": 422, "invalid_format": 422, "weights_unavailable": 503}


class Problem(Exception):
    """An answer that is not a result.

    Args:
        status: HTTP status.
        reason: Stable word; the last part of the problem's type.
        detail: What was wrong, which value, what is allowed, what to do.
        headers: More response headers.
        extra: More members of the problem document, plain JSON values.
    """

    def __init__(
        self, status: int, reason: str, detail: str, headers: dict[str, str] | None = None, **extra: Any
    ) -> None:
        super().__init__(detail)
        self.status, self.reason, self.detail = status, reason, detail
        self.headers, self.extra = headers or {}, extra

    def document(self, request_id: str) -> dict[str, Any]:
        """The problem document."""
        return {
            "type": f"urn:shapespace:problem:{self.reason}",
            "title": TITLES.get(self.reason, self.reason.replace("_", " ").capitalize()),
            "status": self.status,
            "detail": self.detail,
            "request_id": request_id,
            **self.extra,
        }

    def response(self, request_id: str) -> JSONResponse:
        """The problem as an HTTP response."""
        return JSONResponse(self.document(request_id), self.status, self.headers, MEDIA_TYPE)


def problem_of(error: ModelError) -> Problem:
    """A refusal of the science code as a problem."""
    return Problem(_STATUS.get(error.reason, 422), error.reason, str(error))


def invalid(field: str, value: Any, message: str, allowed: str) -> Problem:
    """One field of a request that is not valid."""
    return invalid_fields([{"field": field, "value": shown(value), "message": message, "allowed": allowed}])


def invalid_fields(errors: list[dict[str, Any]], total: int | None = None) -> Problem:
    """Some fields of a request that are not valid; each has field, value, message and allowed.

    Args:
        errors: Those that are shown.
        total: How many there are; those shown by default.
    """
    first = errors[0]
    others = (total or len(errors)) - 1
    more = f" (and {others} more)" if others else ""
    detail = f"{first['field']}: {first['message']}; allowed: {first['allowed']}{more}"
    return Problem(422, "invalid_request", detail, errors=errors)


def shown(value: Any) -> Any:
    """A value of a request as it can be repeated in an answer: short, and plain JSON."""
    if isinstance(value, bool | None) or (isinstance(value, int) and abs(value) < 2**63):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    try:
        # reprlib never walks a whole list
        text = (
            value if isinstance(value, str) else reprlib.repr(value) if isinstance(value, list | dict) else repr(value)
        )
    except ValueError:  # integers of thousands of digits
        text = f"a {type(value).__name__} that is too long to show"
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= _MAX_VALUE_CHARS else text[: _MAX_VALUE_CHARS - 3] + "..."
