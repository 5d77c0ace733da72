"""Verbs that measure speed: options and help; the work is done elsewhere, and imported when called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.commands.model_options import Device, ModelName, Weights


def bench(
    context: typer.Context,
    steps: Annotated[int, typer.Option(help="Sampler steps that a conformer is counted with.")] = 50,
    repeats: Annotated[int, typer.Option(min=1, help="Steps that are timed; the median counts.")] = 10,
    out: Annotated[Path | None, typer.Option(help="Write the figures as JSON.")] = None,
    training: Annotated[Path | None, typer.Option(help="JSON file of a training run: measure its steps.")] = None,
    weights: Weights = None,
    model: ModelName = None,
    device: Device = None,
) -> None:
    """Measure the sampler: conformers per second by size and batch, and the share spent in projection.

    With `--training` it measures steps of that training instead: their floating-point operations per second, as a share
    of what one large matrix product reaches on this machine.  `shapespace bench serve` measures the service,
    `shapespace bench backbones` the sampler of backbones.

    Example: `shapespace bench --repeats 20 --out out/bench.json`
    """
    if context.invoked_subcommand is not None:
        return
    from app.commands import bench as command

    if training is not None:
        command.run_training(training, repeats, out, device or "auto")
        return
    command.run(steps, repeats, out, weights, model, device)


def serve(
    start: Annotated[str, typer.Option(help="noise, etkdg or mmff94s.")] = "mmff94s",
    steps: Annotated[int | None, typer.Option(help="Sampler steps of each conformer.")] = None,
    singles: Annotated[int, typer.Option(min=1, help="Requests of one conformer, one after another.")] = 40,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long /healthz is asked for.")] = 5.0,
    repeats: Annotated[int, typer.Option(min=1, help="How often all is measured; medians count.")] = 3,
    hostile: Annotated[Path | None, typer.Option(help="JSON lines with kind and data of hostile molecules.")] = None,
    kills: Annotated[int, typer.Option(min=0, help="How often a server is killed in the middle of a job.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Write the figures as JSON, and as a table beside it.")] = None,
    weights: Weights = None,
    model: ModelName = None,
    device: Device = None,
) -> None:
    """Measure the service: a server of its own, real clients, and ratios within one run.

    Structures per second through HTTP against the bare sampler at the same batch size; the slowest answers to small
    requests beside a bulk job against those without; 64 requests together against one at a time; `/healthz` meanwhile;
    with `--hostile` whether molecules that hurt are answered, what they cost their neighbours, and whether the service
    is ready afterwards; with `--kills` what a job loses when its servers are killed.

    Example: `shapespace bench serve --singles 100 --out out/serve.json`
    """
    from app.commands import bench_serve as command

    command.run(start, steps, singles, seconds, repeats, hostile, kills, out, weights, model, device)
