"""Compare runs of backbones that were trained with different losses: one JSON record and one page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch

from app.commands.backbone_records import provenance, write
from app.commands.evaluate import load_run, progress_bars
from models.data.backbones import read_backbones
from models.evaluation.tables import plain
from models.experiments.backbone_losses import RULE, Trained, compare_losses, losses_to_markdown
from models.options import SampleOptions

NAME = "losses"


def run(
    runs: Sequence[Path],
    data: Path,
    options: SampleOptions,
    lengths: Sequence[int],
    number: int,
    idealise: bool,
    seed: int,
    device: torch.device,
    folder: Path,
) -> None:
    """Write `losses.json` and `losses.md` into `folder`."""
    trained = [Trained(load_run(one, device), _learnt_from(one)) for one in runs]
    chains, about = read_backbones(data), provenance(data, device)
    with progress_bars() as on_progress:
        found = compare_losses(trained, chains, options, lengths, number, seed, idealise, on_progress)
    sampling = {name: getattr(options, name) for name in ("kind", "steps", "schedule", "noise_scale", "churn")}
    samples = {"lengths": list(lengths), "of_each_length": number, "seed": seed, "idealised": idealise, **sampling}
    record = plain({**about, "samples": samples, "rule": RULE, **found})
    write(NAME, record, losses_to_markdown(record), folder)


def _learnt_from(run: Path) -> dict[str, object]:
    """What the run says of its data; nothing where it does not."""
    path = run / "data.json"
    return json.loads(path.read_text()) if path.is_file() else {}
