"""Compare sampled backbones with what a folding model makes of sequences designed for them."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from app.commands.evaluate import console
from models.evaluation.backbones.samples import read_samples
from models.evaluation.backbones.selfconsistency import (
    compare_predictions,
    consistency_record,
    consistency_to_markdown,
)

NAME = "scrmsd"  # of the record and the page


def run(samples: Path, predictions: Path, folder: Path) -> None:
    """Pair files by name, and write `scrmsd.json` and `.md` into `folder`."""
    found, missing = compare_predictions(read_samples(samples, ("CA",)), read_samples(predictions, ("CA",)))
    about = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": ["shapespace", *sys.argv[1:]],
    }
    record = consistency_record(found, missing, about)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{NAME}.json").write_text(json.dumps(record, allow_nan=False, indent=1), encoding="utf-8")
    (folder / f"{NAME}.md").write_text(consistency_to_markdown(record), encoding="utf-8")
    console.print(f"wrote {NAME}.json and {NAME}.md to {folder}")
