"""Measure sampled protein backbones beside natural ones: tables, a picture and one JSON record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from app.commands.backbone_records import provenance, write
from app.commands.evaluate import describe, progress_bars
from models.data.backbones import read_backbones
from models.errors import DataError
from models.evaluation.backbones.chains import Group
from models.evaluation.backbones.figure import draw_backbone_figure
from models.evaluation.backbones.gallery import draw_gallery
from models.evaluation.backbones.model_draws import DrawCount, ModelDraws
from models.evaluation.backbones.report import backbones_to_markdown, build_backbone_record
from models.evaluation.backbones.rows import SAMPLES, measure
from models.evaluation.backbones.run import BackboneConfig, evaluate_backbones
from models.evaluation.backbones.samples import read_samples
from models.options import SampleOptions
from models.weights import Model

NAME = "backbones"  # of the record, the page and the picture
_PICTURED = 8
_SAMPLING = ("kind", "steps", "schedule", "noise_scale", "churn", "quotient")


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
        **{name: getattr(options, name) for name in _SAMPLING},
    }
    with progress_bars() as on_progress:
        parts: dict[str, Any] = {}
        for length in lengths:
            counter = DrawCount(f"sampling {length} residues", count, on_progress)
            draw = ModelDraws(model, options, idealise=idealise, on_done=counter)
            parts[f"x_{length}"] = draw(length, count, config.seed)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / "samples.npz", **parts)
    group = Group(SAMPLES, tuple(chain.astype(np.float64) for x in parts.values() for chain in x))
    _evaluate(data, group, source, config, folder, model.device)


def _evaluate(
    data: Path, group: Group, source: dict[str, Any], config: BackboneConfig, folder: Path,
    device: torch.device,
) -> None:  # fmt: skip
    chains = read_backbones(data)
    about = {**provenance(data, device), "samples": source, "settings": asdict(config)}
    with progress_bars() as on_progress:
        found = evaluate_backbones(group, chains, config, on_progress)
    record = build_backbone_record(found, about)
    write(NAME, record, backbones_to_markdown(record), folder)
    draw_backbone_figure(record).savefig(folder / f"{NAME}.png", dpi=110)
    _draw_sound(group, folder)


def _draw_sound(group: Group, folder: Path) -> None:
    """A picture of the first sound samples of each length, as many of each as there is room for."""
    sound = group.only(measure(group).passed.tolist())
    lengths = np.unique(sound.lengths)
    each = _PICTURED // max(1, len(lengths))
    chains = [chain for n in lengths for chain in sound.between(int(n), int(n) + 1).chains[:each]]
    if chains:
        draw_gallery(chains, [f"{len(chain)} residues" for chain in chains]).savefig(folder / "gallery.png")


def parse_numbers(text: str, option: str) -> tuple[float, ...]:
    """Numbers from `.3,.6`.

    Raises:
        DataError: A part is not a number.
    """
    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise DataError(f"{option} is {text!r}; give numbers with commas between, such as 40,80,120") from None
