"""What the caller wants back: JSON, one file, or a zip of files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from app.errors import Problem
from models.export.backbone_formats import BACKBONE_FORMATS
from models.export.formats import FORMATS

JSON, ZIP = "application/json", "application/zip"


class FileFormat(Protocol):
    """What this room must know of a file format."""

    @property
    def media_type(self) -> str:
        """As it is negotiated."""


F = TypeVar("F", bound=FileFormat)


@dataclass(frozen=True)
class Wanted(Generic[F]):
    """Chosen media type, and the file format if it is one."""

    media_type: str
    file_format: F | None = None


def offer(formats: Iterable[F]) -> tuple[Wanted[F], ...]:
    """What can be made where structures have these formats."""
    return (Wanted(JSON), *(Wanted(f.media_type, f) for f in formats), Wanted(ZIP))


OFFERS = offer(FORMATS.values())
BACKBONE_OFFERS = offer(BACKBONE_FORMATS.values())


def negotiate(accept: str | None, offers: Sequence[Wanted[F]]) -> Wanted[F]:
    """Choose an answer for an `Accept` header.

    Args:
        accept: The header; JSON when it is absent.
        offers: What can be made, the default first.

    Raises:
        Problem: 406 when nothing that is accepted can be made.
    """
    ranges = [_media_range(part) for part in (accept or "*/*").split(",") if part.strip()]
    weights = [_weight(offer.media_type, ranges) for offer in offers]
    best = max(weights)
    if best[0] <= 0:
        allowed = ", ".join(offer.media_type for offer in offers)
        raise Problem(406, "not_acceptable", f"Accept is {accept!r:.120}; allowed: {allowed}")
    return offers[weights.index(best)]


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
