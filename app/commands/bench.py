"""Measure the sampler, or a training step: time by size and batch."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from app.commands.machine import describe_machine
from app.main import load_molecules
from app.settings import build_settings
from models.data.molecule import build_molecules, read_smiles
from models.evaluation.speed import StepCost, measure_step
from models.training.config import read_config
from models.training.cost import matrix_ceiling, measure_training
from models.training.loop import half_is_faster
from models.weights import pick_device

# Molecules of 18, 45 and 80 atoms with hydrogens.
MOLECULES = {
    18: "NC1CCCC1O",
    45: "CN(C)CCCC1(c2ccc(F)cc2)OCc2cc(C#N)ccc12",
    80: "CC[C@H](CC[C@@H](C)[C@H]1CC[C@@H]2[C@@]1(CC[C@H]3[C@H]2CC=C4[C@@]3(CC[C@@H](C4)O)C)C)C(C)C",
}
BATCHES = (1, 64)


def run(
    steps: int, repeats: int, out: Path | None, weights: Path | None, model_name: str | None, device: str | None
) -> None:
    """Print a table, and write it as JSON where `out` says."""
    settings = build_settings(weights_dir=weights, model=model_name, device=device)
    model = load_molecules(settings)
    console = Console()
    table = Table("atoms", "batch", f"conformers/s ({steps} steps)", "ms per step", "projection, % of a step")
    costs: list[StepCost] = []
    with console.status("measuring"):
        for smiles in MOLECULES.values():
            molecule = build_molecules(read_smiles(smiles), 0)[0]
            for batch in BATCHES:
                cost = measure_step(model, molecule, batch, repeats, time.perf_counter, settings.half)
                costs.append(cost)
                table.add_row(
                    str(cost.atoms),
                    str(cost.batch),
                    f"{cost.conformers_per_s(steps):.2f}",
                    f"{1e3 * cost.step_s:.1f}",
                    f"{100 * cost.projection_s / cost.step_s:.2f}",
                )
    console.print(table)
    if out is not None:
        rows = [{**asdict(cost), "conformers_per_s": cost.conformers_per_s(steps)} for cost in costs]
        record = {
            "model": model.name,
            "steps": steps,
            "repeats": repeats,
            "machine": describe_machine(model.device),
            "rows": rows,
        }
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(record, indent=2) + "\n")


def run_training(config_path: Path, repeats: int, out: Path | None, device_name: str) -> None:
    """Print what a training step of each size bucket achieves of the machine's ceiling; write it where `out` says."""
    config, device = read_config(config_path), pick_device(device_name)
    half = {"on": True, "off": False}.get(config.half)
    half = half_is_faster(device, time.perf_counter) if half is None else half
    console = Console()
    kinds = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    with console.status("measuring matrix products"):
        ceilings = {name: matrix_ceiling(device, kind, repeats, time.perf_counter) for name, kind in kinds.items()}
    used = "bfloat16" if half else "float32"
    table = Table("atoms", "batch", "ms per step", "conformers/s", "GFLOP/s", f"% of {used} ceiling")
    rows = []
    for size in config.bucket_sizes:
        with console.status(f"measuring steps of {size} atoms"):
            cost = measure_training(config, size, device, repeats, time.perf_counter, half)
        row = {
            **asdict(cost),
            "conformers_per_s": cost.batch / cost.step_s,
            "gflops_per_s": cost.flops_per_s / 1e9,
            "share_of_ceiling": cost.flops_per_s / ceilings[used],
        }
        rows.append(row)
        table.add_row(
            str(cost.size), str(cost.batch), f"{1e3 * cost.step_s:.0f}", f"{row['conformers_per_s']:.0f}",
            f"{row['gflops_per_s']:.1f}", f"{100 * row['share_of_ceiling']:.0f}",
        )  # fmt: skip
    console.print(table)
    console.print(", ".join(f"ceiling in {name} {rate / 1e9:.0f} GFLOP/s" for name, rate in ceilings.items()))
    if out is not None:
        record = {
            "config": config_path.name, "precision": used, "repeats": repeats, "machine": describe_machine(device),
            "ceilings_gflops_per_s": {name: rate / 1e9 for name, rate in ceilings.items()}, "rows": rows,
        }  # fmt: skip
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(record, indent=2) + "\n")
