"""What the OpenAPI document says of answers that several addresses have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.api.negotiation import JSON, Wanted
from app.api.schemas import ProblemDocument

_TEXT = "chemical/"  # how media types of text files begin
PREFER = {
    "name": "Prefer",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "`respond-async` makes it a job.",
}
_PROBLEMS = {
    404: "There is no such job, or it is not yours; or no such model is served.",
    406: "None of the accepted media types can be made.",
    408: "The body did not arrive in time.",
    409: "Not yet: the first request with this Idempotency-Key is being served, or there is no structure yet.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    422: "The request is not valid, or no file could be made of it.",
    429: "Your quota is used up; see Retry-After and RateLimit.",
    503: "Starting, full or shutting down, or no database; see Retry-After.",
}


def files(offers: Sequence[Wanted]) -> dict[str, Any]:
    """Content of answers that are files."""
    return {
        offer.media_type: {
            "schema": {"type": "string", **({} if offer.media_type.startswith(_TEXT) else {"format": "binary"})}
        }
        for offer in offers
        if offer.media_type != JSON
    }


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Problem documents of some statuses, for the OpenAPI document."""
    content = {"application/problem+json": {"schema": ProblemDocument.model_json_schema()}}
    return {status: {"description": _PROBLEMS[status], "content": content} for status in statuses}
