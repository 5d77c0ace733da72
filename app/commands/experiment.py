"""Run experiments that need several trainings; each goes on where it was ended."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from app import __version__
from app.commands.evaluate import load_run, progress_bars
from app.commands.machine import describe_machine
from app.commands.resumed import pin, plain, write_json
from app.commands.train import stop_flag
from models.experiments.arms import Arm, arm_config
from models.experiments.curvature import FORMS, measure_form
from models.experiments.denoising import Pairs, build_pairs
from models.experiments.ensembles import Quantities
from models.experiments.figure import draw_errors
from models.experiments.material import Sources, build_material, without_automorphisms
from models.experiments.plan import Plan
from models.experiments.symmetry import RULES, Run, build_tables, curvature_tables, measure_run, measure_turn, run_table
from models.experiments.tables import to_markdown
from models.samplers.prior import build_prior
from models.training.config import to_json
from models.training.loop import half_is_faster, train
from models.training.sample import ResidentSet
from models.weights import Model, pick_device

console = Console(stderr=True)
CURVATURE_ARM = "quotient"
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.monotonic, "cpu": time.process_time}
OnProgress = Callable[[str, int, int], None]


class Symmetry:
    """One experiment in its folder."""

    def __init__(self, plan: Plan, sources: Sources, folder: Path, device: torch.device) -> None:
        self.plan, self.folder, self.device = plan, folder, device
        self.settings = plain({"plan": asdict(plan), "sources": asdict(sources)})
        pin(self.settings, folder, "an experiment", "--out")
        with console.status("reading and packing molecules"):
            self.material = build_material(sources, folder, processes=2)
        config = plan.config
        prior = build_prior("gaussian", config.prior_std_ang)
        words = {"none", *(arm.pairs for arm in plan.arms)}
        self.pairs: dict[str, list[Pairs]] = {
            w: build_pairs(self.material.targets, prior, w, 1, 0) for w in sorted(words)
        }
        half = {"on": True, "off": False}.get(config.half)
        self.half = half_is_faster(device, time.perf_counter) if half is None else half

    def train(self, should_stop: Callable[[], bool], on_progress: OnProgress) -> None:
        """Bring every run to the end of its time, in turns."""
        plan, budget_s = self.plan, self.plan.config.budget_s
        bare = without_automorphisms(self.material.blocks)
        for turn in range(1, plan.turns + 1):
            for number, (arm, seed) in enumerate(plan.runs, 1):
                place, until_s = self.place(arm, seed), budget_s * turn / plan.turns
                if len(_lines(place / "curve.jsonl")) < turn:
                    config = arm_config(plan.config, arm, seed)
                    place.mkdir(parents=True, exist_ok=True)
                    (place / "config.json").write_text(to_json(config))
                    blocks = self.material.blocks if arm.automorphisms else bare
                    sets = [ResidentSet(block, self.device) for block in blocks]
                    progress = train(
                        sets, config, place / "checkpoint", self.device, CLOCKS[plan.clock],
                        partial(_append, place / "log.jsonl"), should_stop, self.half, until_s,
                    )  # fmt: skip
                    if should_stop():
                        return
                    found = measure_turn(self.model(arm, seed), arm, self.pairs, len(self.material.targets))
                    _append(place / "curve.jsonl", {**asdict(progress), **found})
                done = ((turn - 1) * len(plan.runs) + number) * budget_s / plan.turns
                on_progress("training, s", round(done), round(len(plan.runs) * budget_s))

    def measure(self, should_stop: Callable[[], bool], on_progress: OnProgress) -> list[Run]:
        """Errors and ensembles of every run; those that were measured before are read."""
        runs = []
        for number, (arm, seed) in enumerate(self.plan.runs, 1):
            place = self.place(arm, seed)
            if should_stop():
                break
            if not (place / "evaluation.json").is_file():
                found = measure_run(
                    self.model(arm, seed), arm, self.pairs, len(self.material.targets), self.material.cases,
                    self.plan.steps, time.perf_counter,
                )  # fmt: skip
                write_json(place / "evaluation.json", found)
            found = json.loads((place / "evaluation.json").read_text())
            progress = json.loads((place / "checkpoint" / "progress.json").read_text())
            runs.append(Run(arm.name, seed, progress, **found, curve=_lines(place / "curve.jsonl")))
            on_progress("measuring, runs", number, len(self.plan.runs))
        return runs

    def curvature(self, should_stop: Callable[[], bool], on_progress: OnProgress) -> dict[str, list[Quantities]]:
        """The SDE of the uncoupled quotient arm with and without its curvature drift, for every seed."""
        arm = next((arm for arm in self.plan.arms if arm.name == CURVATURE_ARM), None)
        targets = self.material.sized
        forms: dict[str, list[Quantities]] = {name: [] for name in FORMS if arm and targets}
        jobs = [(seed, name) for seed in self.plan.seeds for name in forms]
        for number, (seed, name) in enumerate(jobs, 1):
            assert arm is not None  # without it there are no jobs
            if should_stop():
                break
            place = self.place(arm, seed) / "curvature" / f"{list(FORMS).index(name)}.json"
            if not place.is_file():
                place.parent.mkdir(exist_ok=True)
                write_json(place, measure_form(self.model(arm, seed), targets, FORMS[name], self.plan.sde_steps))
            forms[name].append(json.loads(place.read_text()))
            on_progress("curvature drift, rows", number, len(jobs))
        return forms

    def report(self, runs: list[Run], forms: dict[str, list[Quantities]]) -> None:
        """Write `experiment.json`, `.md` and `.png`."""
        atoms = [target.molecule.num_atoms for target in self.material.sized]
        record = {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": ["shapespace", *sys.argv[1:]],
            "versions": {"shapespace": __version__, **{name: version(name) for name in ("rdkit", "torch", "numpy")}},
            "machine": describe_machine(self.device),
            "settings": self.settings,
            "data": self.material.counts,
            "held_out": {
                "errors": len(self.material.targets),
                "ensembles": len(self.material.cases),
                "curvature": {str(n): atoms.count(n) for n in sorted(set(atoms))},
            },
            "rules": list(RULES),
            "runs": [{"arm": r.arm, "seed": r.seed, **r.progress, "curve": r.curve} for r in runs],
            "arms": run_table(runs, self.plan.arms),
            "tables": [*build_tables(runs, self.plan.arms), *(curvature_tables(forms, atoms) if forms else [])],
        }
        write_json(self.folder / "experiment.json", record)
        (self.folder / "experiment.md").write_text(to_markdown(record), encoding="utf-8")
        draw_errors(record["runs"]).savefig(self.folder / "experiment.png", dpi=150)

    def place(self, arm: Arm, seed: int) -> Path:
        """Folder of one training."""
        return self.folder / f"{arm.name}-{seed}"

    def model(self, arm: Arm, seed: int) -> Model:
        """Averaged weights of one training."""
        return load_run(self.place(arm, seed), self.device)


def symmetry(plan: Plan, sources: Sources, folder: Path, device_name: str) -> int:
    """Run or resume the experiment on symmetry in `folder`.

    Returns:
        0, or 1 if it was asked to stop before the end.
    """
    torch.set_num_threads(plan.threads)
    experiment, should_stop = Symmetry(plan, sources, folder, pick_device(device_name)), stop_flag()
    with progress_bars() as on_progress:
        experiment.train(should_stop, on_progress)
        runs = experiment.measure(should_stop, on_progress)
        forms = experiment.curvature(should_stop, on_progress)
    if should_stop():
        console.print("stopped; the same command goes on from here")
        return 1
    experiment.report(runs, forms)
    console.print(f"wrote experiment.json, experiment.md and experiment.png to {folder}")
    return 0


def _append(path: Path, record: dict[str, Any]) -> None:
    with path.open("a") as file:
        file.write(json.dumps(record) + "\n")


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
