"""What the caller wants back: JSON, one file, or a zip of files."""

from __future__ import annotations

from dataclasses import dataclass

from app.errors import Problem
from models.export.formats import FORMATS, Format

JSON, ZIP = "application/json", "application/zip"


@dataclass(frozen=True)
class Wanted:
    """Chosen media type, and the file format if it is one."""

    media_type: str
    file_format: Format | None = None


OFFERS = (Wanted(JSON), *(Wanted(f.media_type, f) for f in FORMATS.values()), Wanted(ZIP))


def negotiate(accept: str | None) -> Wanted:
    """Choose an answer for an `Accept` header.

    Args:
        accept: The header; JSON when it is absent.

    Raises:
        Problem: 406 when nothing that is accepted can be made.
    """
    ranges = [_media_range(part) for part in (accept or "*/*").split(",") if part.strip()]
    weights = [_weight(offer.media_type, ranges) for offer in OFFERS]
    best = max(weights)
    if best[0] <= 0:
        allowed = ", ".join(offer.media_type for offer in OFFERS)
        raise Problem(406, "not_acceptable", f"Accept is {accept!r:.120}; allowed: {allowed}")
    return OFFERS[weights.index(best)]


def _media_range(part: str) -> tuple[str, float]:
    """Type and weight of one part of the header; a weight that cannot be read counts as 0."""
    name, *parameters = (word.strip().lower() for word in part.split(";"))
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return name, max(0.0, min(1.0, float(parameter[2:])))
            except ValueError:
                return name, 0.0
    return name, 1.0


def _weight(media_type: str, ranges: list[tuple[str, float]]) -> tuple[float, int]:
    """Weight of the most specific range that covers the type, and how specific it is, which settles a tie."""
    for specific, pattern in enumerate(("*/*", media_type.split("/")[0] + "/*", media_type)[::-1]):
        weights = [weight for name, weight in ranges if name == pattern]
        if weights:
            return weights[0], -specific
    return 0.0, 0
