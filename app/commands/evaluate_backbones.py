"""Measure sampled protein backbones beside natural ones: tables, a picture and one JSON record."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from app import __version__
from app.commands.evaluate import console, progress_bars
from app.commands.machine import describe_machine
from models.data.backbones import read_backbones
from models.errors import DataError
from models.evaluation.backbones.chains import Group
from models.evaluation.backbones.figure import draw_backbone_figure
from models.evaluation.backbones.report import backbones_to_markdown, build_backbone_record
from models.evaluation.backbones.run import SAMPLES, BackboneConfig, evaluate_backbones
from models.evaluation.backbones.samples import read_samples

NAME = "backbones"  # of the record, the page and the picture
_PACKAGES = ("torch", "numpy", "biotite", "pydssp", "tmtools")


def run(data: Path, samples: Path, config: BackboneConfig, folder: Path) -> None:
    """Evaluate the samples of a file or folder; write `backbones.json`, `.md` and `.png` into `folder`."""
    found = read_samples(samples)
    about = _provenance(data, samples, found, config)
    write(evaluate(data, Group(SAMPLES, tuple(found.values())), config, about), folder)


def evaluate(data: Path, samples: Group, config: BackboneConfig, about: dict[str, Any]) -> dict[str, Any]:
    """The record of samples, from wherever they come."""
    chains = read_backbones(data)
    with progress_bars() as on_progress:
        return build_backbone_record(evaluate_backbones(samples, chains, config, on_progress), about)


def write(record: dict[str, Any], folder: Path) -> None:
    """Write a record, its tables and its picture."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{NAME}.json").write_text(json.dumps(record, allow_nan=False), encoding="utf-8")
    (folder / f"{NAME}.md").write_text(backbones_to_markdown(record), encoding="utf-8")
    draw_backbone_figure(record).savefig(folder / f"{NAME}.png", dpi=110)
    console.print(f"wrote {NAME}.json, {NAME}.md and {NAME}.png to {folder}")


def parse_numbers(text: str, option: str) -> tuple[float, ...]:
    """Numbers from `.3,.6`.

    Raises:
        DataError: A part is not a number.
    """
    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise DataError(f"{option} is {text!r}; give numbers with commas between, such as 40,80,120") from None


def _provenance(data: Path, samples: Path, found: dict[str, Any], config: BackboneConfig) -> dict[str, Any]:
    """When, where and with what something is measured."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": ["shapespace", *sys.argv[1:]],
        "versions": {"shapespace": __version__, **{name: _version(name) for name in _PACKAGES}},
        "machine": describe_machine(torch.device("cpu")),
        "data": {"file": data.name, "sha256": sha256(data.read_bytes()).hexdigest() if data.is_file() else None},
        "samples": {"from": samples.name, "number": len(found)},
        "settings": asdict(config),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"
