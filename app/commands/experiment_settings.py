"""Compare settings that backbones are sampled with: one JSON record and one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from app.commands.backbone_records import provenance, write
from app.commands.evaluate import describe, progress_bars
from models.data.backbones import read_backbones
from models.evaluation.tables import plain
from models.experiments.backbone_settings import Setting, compare_settings, settings_to_markdown
from models.weights import Model

_RULE = (
    "Every row: first draws from the same seeds, sound or not. Unless the row says otherwise bonds, angles and peptide "
    "planes are brought to their ideal values, as in the service. Columns: as in `shapespace evaluate backbones`."
)


def run(
    name: str,
    title: str,
    data: Path,
    model: Model,
    settings: Sequence[Setting],
    lengths: Sequence[int],
    number: int,
    seed: int,
    folder: Path,
) -> None:
    """Write `<name>.json` and `<name>.md` into `folder`."""
    chains, about = read_backbones(data), provenance(data, model.device)
    with progress_bars() as on_progress:
        found = compare_settings(model, chains, settings, lengths, number, seed, on_progress)
    record = plain(
        {
            "title": title,
            **about,
            "model": describe(model),
            "settings": {"lengths": list(lengths), "of_each_length": number, "seed": seed},
            "rule": _RULE,
            **found,
        }
    )
    write(name, record, settings_to_markdown(record), folder)
