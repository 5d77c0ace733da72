"""Turn a training run into shipped weights: file, registry entry, card, loss curve."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from rich.console import Console
from safetensors.torch import load_file

from app import __version__
from app.commands.machine import describe_machine
from models.data.residues import POINTS_PER_RESIDUE
from models.errors import DataError
from models.evaluation.backbones.report import backbones_to_markdown
from models.evaluation.report import to_markdown
from models.training.config import read_config
from models.weights import save_model

MAX_BYTES = 25 * 10**6
SHORTEST = 40  # residues of the shortest chains in sets of backbones


def run(folder: Path, name: str, weights: Path, evaluations: Sequence[Path], about: Path) -> None:
    """Write everything that ships into `weights`.

    Args:
        folder: The run: config.json, data.json, log.jsonl, checkpoint.
        name: Name in the registry.
        weights: Folder with the registry.
        evaluations: Records made by `shapespace evaluate`.
        about: Markdown with what only people know: source and licence of the data, known limits.

    Raises:
        DataError: The run lacks something, or the file would be too large.
    """
    average = folder / "checkpoint" / "average.safetensors"
    parts = ("checkpoint/progress.json", "config.json", "data.json", "log.jsonl")
    for path in (average, *(folder / part for part in parts), about, *evaluations):
        if not path.is_file():
            raise DataError(f"no file at {path}; it is needed to ship a run")
    if average.stat().st_size > MAX_BYTES:
        raise DataError(f"{average} has {average.stat().st_size} bytes; at most {MAX_BYTES} are shipped in one file")
    config = read_config(folder / "config.json")
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    progress = json.loads((folder / "checkpoint" / "progress.json").read_text())
    training = asdict(config)
    network = training.pop("network")
    if config.network.points_per_token == POINTS_PER_RESIDUE:
        training["lengths"] = [SHORTEST, max(config.bucket_sizes)]
    tensors = load_file(average)
    machine = folder / "machine.json"
    card: dict[str, Any] = {
        "version": __version__,
        "date": datetime.now(UTC).date().isoformat(),
        "parameters": sum(tensor.numel() for tensor in tensors.values()),
        "network": network,
        "training": training,
        "data": json.loads((folder / "data.json").read_text()),
        "progress": progress,
        "machine": json.loads(machine.read_text()) if machine.is_file() else describe_machine(torch.device("cpu")),
        "metrics": [_headline(json.loads(path.read_text())) for path in evaluations],
    }
    weights.mkdir(parents=True, exist_ok=True)
    entry = save_model(name, weights, tensors, card)
    runs = weights / "runs"
    runs.mkdir(exist_ok=True)
    (runs / f"{name}.jsonl").write_text((folder / "log.jsonl").read_text())
    draw_loss(log, weights / f"{name}-loss.png")
    records = {path.parent.name: json.loads(path.read_text()) for path in evaluations}
    for path in evaluations:
        _copy_evaluation(path, weights / "evaluations", f"{name}-{path.parent.name}")
    (weights / f"{name}.md").write_text(to_card(name, entry, records, about.read_text()))
    Console(stderr=True).print(
        f"{weights / entry['file']}: {entry['bytes']:,} bytes, SHA-256 {entry['sha256'][:16]}..."
    )


def to_card(name: str, entry: dict[str, Any], records: dict[str, dict[str, Any]], about: str) -> str:
    """The card as Markdown; evaluation records by the name of their folder."""
    progress, training, machine = entry["progress"], entry["training"], entry["machine"]
    hardware = [machine["cpu"], f"{machine['cores']} cores", machine.get("instructions", ""), machine.get("gpu", "")]
    rows = {
        "file": f"`{entry['file']}`, {entry['bytes']:,} bytes, float32, averaged weights",
        "SHA-256": f"`{entry['sha256']}`",
        "parameters": f"{entry['parameters']:,}",
        "code version, date": f"{entry['version']}, {entry['date']}",
        "data": f"{', '.join(entry['data'].get('sources', []))}: {_kept(entry)}",
        "loss, coupling, prior": f"{training['loss']}, {training['coupling']}, {training['prior']}",
        "steps, structures seen": f"{progress['step']:,}, {progress['conformers']:,}",
        "wall time": f"{progress['elapsed_s'] / 3600:.2f} h",
        "hardware": ", ".join(part for part in hardware if part),
    }
    table = "\n".join(f"| {key} | {value} |" for key, value in rows.items())
    tables = "\n\n".join(
        f"### {title}\n\n![Figure](evaluations/{name}-{title}.png)\n\n{_tables(record)}"
        for title, record in records.items()
    )
    return (
        f"# {name}\n\n| | |\n|---|---|\n{table}\n\n![Training loss]({name}-loss.png)\n\n"
        f"{about.strip()}\n\n## Evaluation\n\n{tables or 'Not evaluated.'}\n\n"
        f"## Configuration\n\n```json\n{json.dumps({'network': entry['network'], **training}, indent=2)}\n```\n"
    )


def draw_loss(log: Sequence[dict[str, Any]], path: Path) -> None:
    """Loss against structures seen."""
    figure = Figure(figsize=(6, 3.2), layout="constrained", dpi=140)
    axis = figure.subplots()
    axis.plot([row["conformers"] / 1e6 for row in log], [row["loss"] for row in log], linewidth=1)
    axis.set_xlabel("structures seen, millions")
    axis.set_ylabel("training loss, weighted")
    axis.set_yscale("log")
    axis.grid(alpha=0.3, which="both")
    figure.savefig(path)


def _kept(entry: dict[str, Any]) -> str:
    """What was learnt from, and what was left out of it."""
    kept, left = entry["data"].get("kept", 0), entry["data"]
    if entry["network"]["points_per_token"] == POINTS_PER_RESIDUE:
        return f"{kept:,} training chains; {left.get('test_or_validation', 0):,} of test and validation left out"
    removed = f"{left.get('test_molecule', 0):,} test molecules removed by canonical SMILES without stereo"
    return f"{kept:,} conformers, one per molecule; {removed}"


def _tables(record: dict[str, Any]) -> str:
    """The record of molecules or of backbones as Markdown."""
    return backbones_to_markdown(record) if "bins" in record else to_markdown(record)


def _copy_evaluation(record: Path, folder: Path, name: str) -> None:
    """Keep the record and the picture beside the card that shows them."""
    folder.mkdir(exist_ok=True)
    for path in (record, record.with_suffix(".png")):
        if path.is_file():
            shutil.copy(path, folder / f"{name}{path.suffix}")


def _headline(record: dict[str, Any]) -> dict[str, Any]:
    """The part of an evaluation that the registry keeps."""
    kept = ("data", "settings", "date", "summary", "samples", "overall")
    return {key: record[key] for key in kept if key in record}
