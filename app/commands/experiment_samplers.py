"""Compare settings of the sampler of backbones: one JSON record and one page."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import torch

from app.commands.evaluate import console, describe, progress_bars
from app.commands.evaluate_backbones import said
from app.commands.machine import describe_machine
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
    chains = read_backbones(data)
    with progress_bars() as on_progress:
        found = compare_samplers(
            model, chains, build_settings(scales, steps, churns), lengths, number, seed, on_progress
        )
    record = plain(
        {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": said(sys.argv[1:]),
            "machine": describe_machine(torch.device("cpu")),
            "model": describe(model),
            "data": {"file": data.name, "sha256": sha256(data.read_bytes()).hexdigest()},
            "settings": {"lengths": list(lengths), "of_each_length": number, "seed": seed},
            "rule": _RULE,
            **found,
        }
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{NAME}.json").write_text(json.dumps(record, allow_nan=False))
    (folder / f"{NAME}.md").write_text(samplers_to_markdown(record))
    console.print(f"wrote {NAME}.json and {NAME}.md to {folder}")
