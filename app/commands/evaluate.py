"""Measure a model, or the checkpoint of a run, on a test set: tables, curves and one JSON record."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from safetensors.torch import load_file

from app import __version__
from app.commands.machine import describe_machine
from models.data.datasets import read_set
from models.errors import DataError
from models.evaluation.curves import draw_curves
from models.evaluation.report import build_record, to_markdown
from models.evaluation.run import EvaluationConfig, evaluate
from models.networks.preconditioning import PreconditionedDenoiser
from models.options import SampleOptions
from models.training.config import read_config
from models.weights import Model, build_model, load_model, pick_device

console = Console(stderr=True)


def run(
    data: Path,
    name: str | None,
    weights: Path,
    run_folder: Path | None,
    options: SampleOptions,
    config: EvaluationConfig,
    device_name: str,
    folder: Path,
) -> None:
    """Evaluate on one set and write `evaluation.json`, `.md` and `.png` into `folder`."""
    device = pick_device(device_name)
    model = choose_model(name, weights, run_folder, device)
    references = list(read_set(data))
    folder.mkdir(parents=True, exist_ok=True)
    about = provenance(model, device, data, len(references), options)
    with progress_bars() as on_progress:
        evaluation = evaluate(model, references, options, config, time.perf_counter, on_progress)
    write(build_record(evaluation, config, about), folder)
    console.print(f"wrote evaluation.json, evaluation.md and evaluation.png to {folder}")


def choose_model(name: str | None, weights: Path, run_folder: Path | None, device: torch.device) -> Model:
    """A registered model, or the averaged weights of a training run.

    Raises:
        DataError: Both or none are named.
    """
    if (name is None) == (run_folder is None):
        raise DataError("name either a registered model with --model or the folder of a training run with --run")
    return load_run(run_folder, device) if run_folder else load_model(str(name), weights, device)


def provenance(
    model: Model, device: torch.device, data: Path, molecules: int, options: SampleOptions
) -> dict[str, Any]:
    """When, where and with what something is measured; called before the work, so that the load is that of others."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": ["shapespace", *sys.argv[1:]],
        "versions": {"shapespace": __version__, **{name: version(name) for name in ("rdkit", "torch", "numpy")}},
        "machine": describe_machine(device),
        "model": describe(model),
        "data": {"file": data.name, "sha256": sha256(data.read_bytes()).hexdigest(), "molecules": molecules},
        "settings": asdict(options),
    }


def write(record: dict[str, Any], folder: Path) -> None:
    """Write a record, its tables and its curves."""
    (folder / "evaluation.json").write_text(json.dumps(record, allow_nan=False, indent=1), encoding="utf-8")
    (folder / "evaluation.md").write_text(f"# Evaluation\n\n{to_markdown(record)}", encoding="utf-8")
    draw_curves(record).savefig(folder / "evaluation.png", dpi=150)


def load_run(folder: Path, device: torch.device) -> Model:
    """The averaged weights of a training run as a model.

    Args:
        folder: With `config.json` and `checkpoint/average.safetensors`.
        device: Where to put the network.

    Returns:
        The model in evaluation mode, named after the folder.

    Raises:
        DataError: The folder has no configuration or no checkpoint yet.
    """
    config_path, checkpoint = folder / "config.json", folder / "checkpoint"
    for path in (config_path, checkpoint / "average.safetensors"):
        if not path.is_file():
            raise DataError(
                f"{path} is missing; give the --out folder of `shapespace train` after its first checkpoint"
            )
    config = read_config(config_path)
    module = PreconditionedDenoiser(config.network)
    module.load_state_dict(load_file(checkpoint / "average.safetensors"))
    module.eval().requires_grad_(False).to(device)
    progress = checkpoint / "progress.json"
    card = {"training": asdict(config), "progress": json.loads(progress.read_text()) if progress.is_file() else {}}
    return build_model(folder.resolve().name, module, asdict(config), card, device)


def describe(model: Model) -> dict[str, Any]:
    """What the record says of the model."""
    progress = model.card.get("progress", {})
    return {
        "name": model.name,
        "parameters": sum(p.numel() for p in model.module.parameters()),
        "prior": model.prior_kind,
        "coupling": model.coupling,
        **({"sha256": model.card["sha256"]} if "sha256" in model.card else {}),
        **{f"trained_{key}": value for key, value in progress.items()},
    }


def parse_thresholds(text: str) -> tuple[float, ...]:
    """Lengths from `.05,.1,.5`, ascending.

    Raises:
        DataError: A part is not a number.
    """
    try:
        return tuple(sorted({float(part) for part in text.split(",") if part.strip()}))
    except ValueError:
        raise DataError(f"--thresholds is {text!r}; give lengths in Å with commas between, such as .5,.75") from None


@contextmanager
def progress_bars(own_thread: bool = True) -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each phase, made when the phase begins.

    With `own_thread` they move on their own; without, only with each report, so that nothing disturbs a measurement.
    """
    bar = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                   console=console, auto_refresh=own_thread)  # fmt: skip
    tasks: dict[str, Any] = {}

    def on_progress(phase: str, done: int, total: int) -> None:
        if phase not in tasks:
            tasks[phase] = bar.add_task(phase, total=total)
        bar.update(tasks[phase], completed=done, total=total, refresh=not own_thread)

    with bar:
        yield on_progress
