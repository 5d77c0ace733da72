"""Cells and tables of Markdown, and plain JSON values."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any


def table(titles: Sequence[str], cells: Sequence[Sequence[str]], names: Sequence[str]) -> list[str]:
    """Lines of a table with a name before each row, and an empty line after it."""
    head = ["| | " + " | ".join(titles) + " |", "|---" * (len(titles) + 1) + "|"]
    return [*head, *(f"| {name} | " + " | ".join(line) + " |" for name, line in zip(names, cells, strict=True)), ""]


def cell(summary: Mapping[str, float] | None, factor: float, digits: int) -> str:
    """Mean, median and interval of a `Summary`'s fields; a dash for None."""
    if summary is None:
        return "-"
    mean, median, low, high = (f"{factor * summary[k]:.{digits}f}" for k in ("mean", "median", "low", "high"))
    return f"{mean} ({median}) [{low}, {high}]"


def number(value: float | None, factor: float, digits: int) -> str:
    """A number; a dash for None."""
    return "-" if value is None else f"{factor * value:.{digits}f}"


def text(value: Any) -> str:
    """A list as words, anything else as text."""
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def plain(value: Any) -> Any:
    """JSON values: tuples to lists, infinities to null, floats to 6 digits."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return round(value, 6) if isfinite(value) else None
    return value
