"""Measure the sampler of backbones: seconds of whole batches."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from app.commands.machine import describe_machine
from app.commands.tables import new_table, show
from app.main import load
from app.settings import build_settings
from models.evaluation.backbones.speed import measure_batch
from models.options import SampleOptions


def run(
    length: int,
    batch: int,
    options: SampleOptions,
    repeats: int,
    threads: int | None,
    out: Path | None,
    weights: Path | None,
    model_name: str | None,
    device: str | None,
) -> None:
    """Print a table, and write it as JSON where `out` says."""
    settings = build_settings(weights_dir=weights, backbone_model=model_name, device=device, threads=threads)
    model = load(settings.model_copy(update={"model": settings.backbone_model}))
    model.check_length(length)
    model.check_sampler(options.kind)
    machine = describe_machine(model.device)  # before the work, so that the load is that of others
    with Console(stderr=True).status("measuring"):
        cost = measure_batch(model, length, batch, options, repeats, time.perf_counter)
    table = new_table("RESIDUES", "BATCH", "STEPS", "THREADS", "S PER BATCH", "S PER BACKBONE", "FASTEST", "SLOWEST")
    table.add_row(
        *map(str, (cost.length, cost.batch, cost.steps, machine["torch_threads"])), f"{cost.batch_s:.2f}",
        f"{cost.sample_s:.2f}", f"{min(cost.seconds) / batch:.2f}", f"{max(cost.seconds) / batch:.2f}",
    )  # fmt: skip
    show(table)
    if out is not None:
        record = {
            "model": model.name, "sampling": options.to_chain_values(), "repeats": repeats, "machine": machine,
            **asdict(cost), "batch_s": cost.batch_s, "sample_s": cost.sample_s,
        }  # fmt: skip
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(record, indent=2) + "\n")
