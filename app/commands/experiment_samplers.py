"""Compare settings of the sampler of backbones: one JSON record and one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from app.commands.backbone_records import provenance, write
from app.commands.evaluate import describe, progress_bars
from models.data.backbones import read_backbones
from models.evaluation.tables import plain
from models.experiments.backbone_samplers import build_settings, compare_samplers, samplers_to_markdown
from models.weights import Model

NAME = "samplers"
_RULE = (
    "Every row: first draws from the same seeds, sound or not. Unless the row says otherwise bonds, angles and peptide "
    "planes are brought to their ideal values, as in the service. Columns: as in `shapespace evaluate backbones`."
)


def run(
    data: Path,
    model: Model,
    lengths: Sequence[int],
    number: int,
    scales: Sequence[float],
    steps: Sequence[int],
    churns: Sequence[float],
    seed: int,
    folder: Path,
) -> None:
    """Write `samplers.json` and `samplers.md` into `folder`."""
    chains, about = read_backbones(data), provenance(data, model.device)
    with progress_bars() as on_progress:
        found = compare_samplers(
            model, chains, build_settings(scales, steps, churns), lengths, number, seed, on_progress
        )
    record = plain(
        {
            **about,
            "model": describe(model),
            "settings": {"lengths": list(lengths), "of_each_length": number, "seed": seed},
            "rule": _RULE,
            **found,
        }
    )
    write(NAME, record, samplers_to_markdown(record), folder)
