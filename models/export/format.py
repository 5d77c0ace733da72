"""What a file format is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from models.errors import FormatError

Write = TypeVar("Write", bound=Callable[..., Any])


@dataclass(frozen=True)
class Format(Generic[Write]):
    """One file format.

    Attributes:
        name: As it is asked for.
        media_type: As it is negotiated over HTTP.
        extension: Of files, without the dot.
        write: Ensembles and model name to the content of one file.
    """

    name: str
    media_type: str
    extension: str
    write: Write


def find_format(name: str, formats: Mapping[str, Format[Write]]) -> Format[Write]:
    """Format by name.

    Raises:
        FormatError: There is no such format among these.
    """
    if name not in formats:
        raise FormatError(f"unknown format {name!r}; allowed: {', '.join(formats)}")
    return formats[name]
