"""Verbs that measure models of molecules: options and help; the work is done elsewhere, and imported when called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.commands.model_options import Weights


def evaluate(
    context: typer.Context,
    data: Annotated[Path | None, typer.Option(help="Test set (npz) with reference conformers.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for evaluation.json, evaluation.md and evaluation.png.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Registered model; or give --run.")] = None,
    weights: Weights = None,
    run: Annotated[Path | None, typer.Option(help="Folder of a training run; its averaged weights are used.")] = None,
    sampler: Annotated[str, typer.Option(help="ode, heun or sde.")] = "ode",
    start: Annotated[
        str, typer.Option(help="noise, etkdg to begin at an ETKDG guess, or mmff94s at a relaxed one.")
    ] = "noise",
    tries: Annotated[int, typer.Option(help="Relaxed guesses for each conformer; the lowest is taken.")] = 1,
    start_time: Annotated[
        float | None, typer.Option(help="Share of the guess at the start; for --start etkdg.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Sampler steps.", show_default="50, from etkdg 5")] = None,
    max_references: Annotated[int, typer.Option(help="Most reference conformers of a molecule, evenly spaced.")] = 20,
    max_molecules: Annotated[int | None, typer.Option(help="Most molecules, evenly spaced; all by default.")] = None,
    thresholds: Annotated[str, typer.Option(help="Thresholds of COV in Å, with commas between.")] = ".05,.1,.5,.75",
    seed: Annotated[int, typer.Option(help="Fixes the samples of every row.")] = 0,
    processes: Annotated[int, typer.Option(help="Processes that embed and score.")] = 2,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    baseline: Annotated[bool, typer.Option(help="Measure ETKDGv3 and MMFF94s on the same molecules.")] = True,
) -> None:
    """Measure a model on a test set, and RDKit beside it; `--data` and `--out` are needed.

    `shapespace evaluate backbones` measures protein backbones.

    Example: `shapespace evaluate --data test.npz --model molecules-small --max-molecules 50 --out out/small`
    """
    if context.invoked_subcommand is not None:
        return
    if data is None or out is None:
        raise typer.BadParameter("name the test set and a folder", param_hint="--data and --out")
    from app.commands import evaluate as command
    from app.settings import default_weights_dir
    from models.options import build_options

    options = build_options(start, steps, start_time, kind=sampler, tries=tries)
    config = command.EvaluationConfig(
        max_references, max_molecules, command.parse_thresholds(thresholds), seed, processes, baseline
    )
    command.run(data, model, weights or default_weights_dir(), run, options, config, device, out)


def compare(
    data: Annotated[list[Path], typer.Option(help="Test set (npz) with reference conformers; may be repeated.")],
    out: Annotated[Path, typer.Option(help="Folder for benchmarks.md, .json and .png.")] = Path("docs"),
    title: Annotated[
        list[str] | None, typer.Option(help="Heading of each --data, in their order.", show_default="its file name")
    ] = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option(
            help="Threshold of COV of each --data, in their order, Å; more than one with commas, the main one first.",
            show_default=".5,.1 up to 9 heavy atoms, else .75",
        ),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Registered model; or give --run.")] = None,
    weights: Weights = None,
    run: Annotated[Path | None, typer.Option(help="Folder of a training run; its averaged weights are used.")] = None,
    tries: Annotated[
        int, typer.Option(min=1, max=32, help="Above 1, also from the lowest in energy of so many relaxed guesses.")
    ] = 1,
    max_references: Annotated[int, typer.Option(help="Most reference conformers of a molecule, evenly spaced.")] = 20,
    max_molecules: Annotated[int | None, typer.Option(help="Most molecules, evenly spaced; all by default.")] = None,
    seed: Annotated[int, typer.Option(help="Fixes the samples of every row.")] = 0,
    work: Annotated[Path, typer.Option(help="Folder that keeps each row that is measured.")] = Path("runs/compare"),
    processes: Annotated[int, typer.Option(min=1, help="Processes that score; none runs while a row is timed.")] = 2,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 takes torch's default.")] = 0,
) -> None:
    """Make the benchmark page: quality and time of the model beside ETKDGv3 and MMFF94s, on the same molecules.

    From noise with 5, 10, 20 and 50 steps, from ETKDG and from relaxed guesses with 5, 10 and 20.  Rows are measured
    one by one with nothing else in the process; the same command goes on with those that are missing.

    Example: `shapespace compare --data qm9.npz --data drugs.npz --model molecules-small --out docs`
    """
    from app.commands import compare as command
    from app.settings import default_weights_dir

    sources = command.pair_sources(data, title or [], threshold or [])
    limits = command.Limits(max_references, max_molecules, seed)
    folder = weights or default_weights_dir()
    command.run(sources, model, folder, run, limits, tries, processes, device, threads, out, work)


def challenge(
    out: Annotated[Path, typer.Option(help="Folder for challenge.json and challenge.md.")],
    model: Annotated[str | None, typer.Option(help="Registered model; or give --run.")] = None,
    weights: Weights = None,
    run: Annotated[Path | None, typer.Option(help="Folder of a training run; its averaged weights are used.")] = None,
    count: Annotated[int, typer.Option("--num-conformers", "-n", min=1, help="Structures of each molecule.")] = 4,
    sampler: Annotated[str, typer.Option(help="ode, heun or sde.")] = "ode",
    start: Annotated[
        str, typer.Option(help="noise, etkdg to begin at an ETKDG guess, or mmff94s at a relaxed one.")
    ] = "noise",
    tries: Annotated[int, typer.Option(help="Relaxed guesses for each conformer; the lowest is taken.")] = 1,
    start_time: Annotated[
        float | None, typer.Option(help="Share of the guess at the start; for --start etkdg.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Sampler steps.", show_default="50, from etkdg 5")] = None,
    data: Annotated[
        Path | None, typer.Option(help="Lines of SMILES, group and name.", show_default="the shipped set")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Fixes the structures.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    baseline: Annotated[bool, typer.Option(help="Try ETKDGv3 on the same molecules.")] = True,
) -> None:
    """Draw hard molecules: rings, macrocycles, double bonds, sulfur and phosphorus stereo, sugars, charges, elements.

    For each group the share of first draws that pass every check, the share with the right stereo, and the faults.

    Example: `shapespace challenge --model molecules-small --start etkdg --out out/challenge`
    """
    from app.commands import challenge as command
    from app.settings import default_weights_dir
    from models.evaluation.challenge import SHIPPED
    from models.options import build_options

    options = build_options(start, steps, start_time, kind=sampler, tries=tries)
    folder = weights or default_weights_dir()
    command.run(data or SHIPPED, model, folder, run, options, count, seed, baseline, device, out)
