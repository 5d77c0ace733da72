"""Draw the challenge set with a model and with ETKDG: one JSON record and one table."""

from __future__ import annotations

import json
from pathlib import Path

from app.commands.evaluate import choose_model, console, progress_bars, provenance
from models.evaluation.challenge import build_challenge_record, read_entries, run_challenge, to_challenge_markdown
from models.options import SampleOptions
from models.weights import pick_device


def run(
    data: Path,
    name: str | None,
    weights: Path,
    run_folder: Path | None,
    options: SampleOptions,
    count: int,
    seed: int,
    baseline: bool,
    device_name: str,
    folder: Path,
) -> None:
    """Write `challenge.json` and `challenge.md` into `folder`."""
    device = pick_device(device_name)
    entries = read_entries(data)
    model = choose_model(name, weights, run_folder, device)
    folder.mkdir(parents=True, exist_ok=True)
    about = provenance(model, device, data, len(entries), options)
    about["settings"] |= {"structures_per_molecule": count, "seed": seed}
    with progress_bars() as on_progress:
        molecules = run_challenge(model, entries, count, seed, options, baseline, on_progress)
    record = build_challenge_record(molecules, about)
    (folder / "challenge.json").write_text(json.dumps(record, allow_nan=False, indent=1), encoding="utf-8")
    (folder / "challenge.md").write_text(f"# Challenge set\n\n{to_challenge_markdown(record)}", encoding="utf-8")
    console.print(f"wrote challenge.json and challenge.md to {folder}")
