"""Verbs that train models and ship them: options and help; the work is done elsewhere, and imported when called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train(
    config: Annotated[Path, typer.Option(help="JSON file of a training run, such as weights/configs/*.json.")],
    out: Annotated[Path, typer.Option(help="Folder of the run: configuration, log, checkpoint.")],
    data: Annotated[list[Path] | None, typer.Option(help="Training set (npz); may be repeated.")] = None,
    exclude: Annotated[
        list[Path] | None, typer.Option(help="Test set (npz or csv) whose molecules are left out; may be repeated.")
    ] = None,
    budget_s: Annotated[float | None, typer.Option(help="Wall-clock seconds of the whole run.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    threads: Annotated[int, typer.Option(help="CPU threads; 0 takes torch's default.")] = 0,
) -> None:
    """Train a model, or go on with the run in `--out` after an interruption.

    Every molecule of the `--exclude` sets is removed from the data by canonical SMILES without stereo.  Ctrl-C and
    SIGTERM save a checkpoint first; the same command resumes with the same data order.

    Example: `shapespace train --config weights/configs/molecules-small.json --data qm9.npz --exclude test.npz
    --out runs/small`
    """
    from app.commands import train as command

    command.run(config, data or [], exclude or [], out, budget_s, device, threads)


def ship(
    run: Annotated[Path, typer.Option(help="Folder of a training run.")],
    name: Annotated[str, typer.Option(help="Name in the registry.")],
    about: Annotated[Path, typer.Option(help="Markdown: source and licence of the data, known limits.")],
    evaluation: Annotated[
        list[Path] | None, typer.Option(help="evaluation.json made by `shapespace evaluate`; may be repeated.")
    ] = None,
    weights: Annotated[Path, typer.Option(help="Folder with registry.json.")] = Path("weights"),
) -> None:
    """Turn a training run into shipped weights: file, registry entry, card, loss curve.

    Example: `shapespace ship --run runs/small --name molecules-small --about weights/configs/molecules-small.md
    --evaluation runs/small/qm9/evaluation.json`
    """
    from app.commands import ship as command

    command.run(run, name, weights, evaluation or [], about)


def gpu_bundle(
    run: Annotated[Path, typer.Option(help="Folder of a training run that has packed its data.")],
    out: Annotated[Path, typer.Option(help="Folder to make; tar files are put beside it.")] = Path("dist/gpu-bundle"),
    have: Annotated[
        list[str] | None, typer.Option(help="Package the other machine has; may be repeated. `all`: no wheels.")
    ] = None,
    python: Annotated[
        str | None, typer.Option(help="Python of the other machine, such as 3.12.", show_default="this one's")
    ] = None,
    limit_mb: Annotated[float, typer.Option(help="Most millions of bytes of one tar.")] = 60.0,
    split: Annotated[bool, typer.Option(help="Allow more than one tar.")] = False,
    take_back: Annotated[
        Path | None, typer.Option(help="Folder that run.sh wrote as OUT: put its checkpoint into --run.")
    ] = None,
) -> None:
    """Carry a training run to a bare machine with a GPU, or take its checkpoint back.

    Example: `shapespace gpu-bundle --run runs/small --python 3.12 --have numpy --split`
    """
    from app.commands import gpu_bundle as command

    if take_back is not None:
        command.take_back(take_back, run)
    else:
        command.run(run, out, have or [], python, limit_mb, split)


def symmetry(
    out: Annotated[Path, typer.Option(help="Folder of the experiment: runs, experiment.json, .md and .png.")],
    config: Annotated[Path, typer.Option(help="JSON file of the training that all arms share.")] = Path(
        "weights/configs/symmetry.json"
    ),
    data: Annotated[list[Path] | None, typer.Option(help="Training set (npz); may be repeated.")] = None,
    exclude: Annotated[
        list[Path] | None, typer.Option(help="Test set (npz or csv) whose molecules are left out; may be repeated.")
    ] = None,
    references: Annotated[
        Path | None,
        typer.Option(help="Ensembles (npz) to compare samples with; by default the held-out part of --data."),
    ] = None,
    arms: Annotated[list[str] | None, typer.Option("--arm", help="Arm; may be repeated. All by default.")] = None,
    seeds: Annotated[str, typer.Option(help="Seeds of the trainings, with commas between.")] = "0,1",
    budget_s: Annotated[
        float | None, typer.Option(help="Seconds of each training.", show_default="as configured")
    ] = None,
    max_atoms: Annotated[int, typer.Option(min=2, help="Larger molecules are left out.")] = 20,
    max_molecules: Annotated[
        int | None, typer.Option(min=1, help="Most molecules of --data, evenly spaced; all by default.")
    ] = None,
    validation: Annotated[
        int, typer.Option(min=1, help="Molecules held out of --data, and most of --references.")
    ] = 200,
    per_size: Annotated[
        int, typer.Option(min=0, help="Molecules of each of 5 to 20 atoms held out for the curvature drift.")
    ] = 8,
    samples: Annotated[int, typer.Option(min=1, help="Samples of each molecule that has no ensemble.")] = 8,
    steps: Annotated[int, typer.Option(min=1, help="Sampler steps of the ODE.")] = 25,
    sde_steps: Annotated[int, typer.Option(min=4, help="Sampler steps of the SDE.")] = 100,
    turns: Annotated[int, typer.Option(min=1, help="Parts of each training; the arms take turns.")] = 8,
    clock: Annotated[str, typer.Option(help="What a second of training is: wall, or cpu on a busy machine.")] = "wall",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
) -> None:
    """Does training on shapes pay?  Compare plain, coupled, aligned and quotient training at equal time.

    Every arm trains for the same time with every seed; held-out molecules of the training set are denoised and
    sampled, and the curvature drift of the SDE is measured.  Ctrl-C and SIGTERM save first; the same command goes on.

    Example: `shapespace experiment symmetry --data qm9.npz --exclude test.npz --out runs/symmetry`
    """
    from app.commands import experiment as command
    from models.experiments.material import Sources
    from models.experiments.plan import build_plan

    plan = build_plan(config, arms or [], seeds, budget_s, max_atoms, steps, sde_steps, turns, clock, threads)
    sources = Sources(
        tuple(data or ()), tuple(exclude or ()), references, plan.config.bucket_sizes, max_molecules, validation,
        per_size, samples, plan.automorphisms,
    )  # fmt: skip
    raise typer.Exit(command.symmetry(plan, sources, out, device))
