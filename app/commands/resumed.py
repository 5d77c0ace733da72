"""Files of work that may be ended at any moment and goes on where it was."""

from __future__ import annotations

import json
from math import isfinite
from pathlib import Path
from typing import Any

from models.errors import DataError


def pin(settings: dict[str, dict[str, Any]], folder: Path, what: str, option: str) -> None:
    """Keep the settings of a folder; when the work goes on they must be those that it began with.

    Args:
        settings: Plain JSON values in parts.
        folder: Made if it is not there.
        what: What the folder holds, with its article.
        option: Where another folder is named.

    Raises:
        DataError: The folder holds work with other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "settings.json"
    if path.is_file():
        before = json.loads(path.read_text())
        changed = [k for part in settings for k in settings[part] if settings[part][k] != before.get(part, {}).get(k)]
        if changed:
            raise DataError(f"{folder} holds {what} with another {changed[0]}; choose another {option}")
    path.write_text(json.dumps(settings, indent=2))


def write_json(path: Path, record: dict[str, Any]) -> None:
    """JSON that is there whole or not at all."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(json.dumps(plain(record), allow_nan=False, indent=1), encoding="utf-8")
    fresh.replace(path)


def plain(value: Any) -> Any:
    """JSON values: paths to their names, tuples to lists, what is not finite to null, floats to 7 digits."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return value.name
    if isinstance(value, float):
        return float(f"{value:.7g}") if isfinite(value) else None
    return value
