"""Measure the sampler: conformers per second by size and batch, and the share of a step spent in projection."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from app.commands.machine import describe_machine
from app.main import load
from app.settings import build_settings
from models.data.molecule import build_molecules, read_smiles
from models.evaluation.speed import StepCost, measure_step

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
    model = load(settings)
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
