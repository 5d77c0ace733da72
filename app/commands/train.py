"""Train a model from data files, with a progress bar and a JSON-lines log."""

from __future__ import annotations

import hashlib
import json
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from app.commands.machine import describe_machine
from models.data.automorphisms import add_automorphisms
from models.data.backbones import BackboneSet, read_backbones, write_backbones
from models.data.datasets import read_excluded, read_set
from models.data.packing import GuessOptions, PackedSet, load_packed, pack, save_packed
from models.data.residues import POINTS_PER_RESIDUE
from models.errors import DataError
from models.training.chains import ResidentChains, bucket_chains, choose_chains
from models.training.config import TrainConfig, read_config, to_json
from models.training.loop import half_is_faster, train
from models.training.sample import ResidentSet, TrainingSet
from models.weights import pick_device

console = Console(stderr=True)


def run(
    config_path: Path,
    data: Sequence[Path],
    exclude: Sequence[Path],
    folder: Path,
    budget_s: float | None,
    device_name: str,
    threads: int,
) -> None:
    """Train or resume one run in `folder`."""
    config = _pinned_config(config_path, folder, budget_s)
    device = pick_device(device_name)
    if threads:
        torch.set_num_threads(threads)
    sets, words = _training_sets(folder, data, exclude, config, device)
    (folder / "machine.json").write_text(json.dumps(describe_machine(device), indent=2))
    half = {"on": True, "off": False}.get(config.half)
    half = half_is_faster(device, time.perf_counter) if half is None else half
    kind = "bfloat16" if half else "float32"
    console.print(f"{words} on {device}, matrix products in {kind}")
    bar = Progress(
        TextColumn("step {task.fields[step]}"), BarColumn(), TextColumn("loss {task.fields[loss]:.4f}"),
        TextColumn("{task.fields[speed]:.0f} conformers/s"), TimeRemainingColumn(), console=console,
    )  # fmt: skip
    with bar, (folder / "log.jsonl").open("a") as log:
        task = bar.add_task("", total=config.budget_s, step=0, loss=float("nan"), speed=0.0)

        def on_log(record: dict) -> None:
            log.write(json.dumps(record) + "\n")
            log.flush()
            fields = {"step": record["step"], "loss": record["loss"], "speed": record["conformers_per_s"]}
            bar.update(task, completed=record["elapsed_s"], **fields)

        done = train(sets, config, folder / "checkpoint", device, time.monotonic, on_log, stop_flag(), half)
    console.print(f"{done.step:,} steps, {done.conformers:,} conformers, {done.elapsed_s / 60:.0f} min in all")


def _training_sets(
    folder: Path, data: Sequence[Path], exclude: Sequence[Path], config: TrainConfig, device: torch.device
) -> tuple[list[TrainingSet], str]:
    """What the run learns from, on the device, and how much that is in words."""
    if config.network.points_per_token == POINTS_PER_RESIDUE:
        return _chains(folder, data, exclude, config, device)
    blocks = packed_data(folder, data, exclude, config)
    molecules, conformers = sum(len(b.counts) for b in blocks), sum(len(b.coordinates) for b in blocks)
    return [ResidentSet(b, device) for b in blocks], f"{molecules:,} molecules, {conformers:,} conformers"


def _chains(
    folder: Path, data: Sequence[Path], exclude: Sequence[Path], config: TrainConfig, device: torch.device
) -> tuple[list[TrainingSet], str]:
    """Backbones by size, and how many in words."""
    chains = packed_chains(folder, data, exclude, config)
    sets = [ResidentChains(part, size, device) for part, size in bucket_chains(chains, config.bucket_sizes)]
    clusters = sum(len(part) for part in sets)
    return [*sets], f"{len(chains):,} chains in {clusters:,} visits of clusters a pass"


def packed_chains(folder: Path, data: Sequence[Path], exclude: Sequence[Path], config: TrainConfig) -> BackboneSet:
    """Training chains, chosen once per run folder and read again on resume."""
    path, about = folder / "packed.npz", folder / "data.json"
    if path.is_file():
        return read_backbones(path)
    if len(data) != 1:
        raise DataError("name one set of backbones with --data")
    if exclude:
        raise DataError("sets of backbones mark their own test chains; leave --exclude out")
    chains, counts = choose_chains(read_backbones(data[0]), max(config.bucket_sizes), config.core_only, config.crop)
    facts = {"sources": [data[0].name], "sha256": hashlib.sha256(data[0].read_bytes()).hexdigest(), **counts}
    if about.is_file() and json.loads(about.read_text()) != facts:
        raise DataError(f"{folder} holds a run on other data; choose another --out, or give the same --data")
    write_backbones(path, chains, facts)
    about.write_text(json.dumps(facts, indent=2))
    return chains


def packed_data(folder: Path, data: Sequence[Path], exclude: Sequence[Path], config: TrainConfig) -> list[PackedSet]:
    """Packed training data, made once per run folder and read again on resume."""
    path = folder / "packed.npz"
    if path.is_file():
        return load_packed(path)
    if not data:
        raise DataError("name at least one training set with --data")
    if not exclude:
        raise DataError("name the test sets with --exclude, so that no test molecule is trained on")
    with console.status("featurising molecules"):
        times = {source: config.repeats.get(source.stem, 1) for source in data}
        molecules = (replace(molecule, visits=times[source]) for source in data for molecule in read_set(source))
        options = GuessOptions(config.relax_guesses, config.embed_guesses, config.guess_radius_ang)
        blocks, counts = pack(molecules, read_excluded(exclude), config.bucket_sizes, 2, options)
    if config.automorphisms:
        with console.status("looking for equivalent atoms"):
            blocks = [add_automorphisms(block, config.automorphisms) for block in blocks]
    save_packed(path, blocks)
    (folder / "data.json").write_text(json.dumps({"sources": [p.name for p in data], **counts}, indent=2))
    console.print(", ".join(f"{count:,} {reason}" for reason, count in counts.items()))
    return blocks


def _pinned_config(path: Path, folder: Path, budget_s: float | None) -> TrainConfig:
    """Configuration of the run; on resume it must be the one that the run began with, but for the budget."""
    config = read_config(path)
    if budget_s is not None:
        config = replace(config, budget_s=budget_s)
    folder.mkdir(parents=True, exist_ok=True)
    pinned = folder / "config.json"
    if pinned.is_file():
        before = read_config(pinned)
        if replace(before, budget_s=0) != replace(config, budget_s=0):
            raise DataError(f"{folder} holds a run with another configuration; choose another --out")
    pinned.write_text(to_json(config))
    return config


def stop_flag() -> Callable[[], bool]:
    """True once the process was asked to end, so that the last step is saved."""
    asked: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        asked.append(number)

    signal.signal(signal.SIGTERM, remember)
    signal.signal(signal.SIGINT, remember)
    return lambda: bool(asked)
