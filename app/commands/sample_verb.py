"""`shapespace sample`: options and help; the work is done elsewhere, and imported when called."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from app.commands import backbone_options
from app.commands.model_options import Device, ModelName, Weights


def sample(
    context: typer.Context,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help="File (.sdf .pdb .xyz .cif .bcif), .zip, or a folder with a file per molecule or backbone.",
        ),
    ],
    source: Annotated[
        str | None,
        typer.Argument(help="A SMILES, a .smi or .sdf file, or - for SMILES on standard input; none with --length."),
    ] = None,
    count: Annotated[
        int,
        typer.Option(
            "--num-conformers",
            "--num-samples",
            "-n",
            min=1,
            help="Conformers of each molecule, or backbones.",
        ),
    ] = 10,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**53 - 1, help="Same seed, same structures.", show_default="drawn")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(help="noise, etkdg: begin at an ETKDG guess, mmff94s: at a relaxed one.", show_default="mmff94s"),
    ] = None,
    start_time: Annotated[
        float | None,
        typer.Option(help="Share of the guess at the start.", show_default="0.8 from etkdg, 0.9 from mmff94s"),
    ] = None,
    tries: Annotated[
        int, typer.Option(help="For --start mmff94s: guesses for each conformer; the lowest is taken.")
    ] = 1,
    kind: Annotated[
        str | None, typer.Option("--sampler", help="ode, heun or sde.", show_default="ode, for backbones sde")
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1000,
            help="Sampler steps; time grows in proportion; 200 for backbones.",
            show_default="5, from noise 50",
        ),
    ] = None,
    schedule: Annotated[
        str | None,
        typer.Option(help="Time grid: uniform, quadratic or log.", show_default="uniform, for backbones log"),
    ] = None,
    file_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="sdf, pdb, xyz or mmcif; of backbones pdb, mmcif or bcif.",
            show_default="by extension, or the first",
        ),
    ] = None,
    stereo: Annotated[
        str, typer.Option(help="Stereo left open: 'sample' chooses one isomer by the seed, 'enumerate' makes all.")
    ] = "sample",
    max_stereoisomers: Annotated[int, typer.Option(min=1, max=64, help="Limit of 'enumerate'.")] = 8,
    relax: Annotated[
        str | None, typer.Option(help="mmff94s: move each conformer to its energy minimum.", show_default="off")
    ] = None,
    energies: Annotated[
        str | None, typer.Option(help="mmff94s: energies without relaxing.", show_default="off")
    ] = None,
    prune_rmsd: Annotated[
        float | None,
        typer.Option(help="Å; of conformers closer than this only one is kept.", show_default="off"),
    ] = None,
    rank: Annotated[bool, typer.Option("--rank", help="Lowest energy first.")] = False,
    energy_window: Annotated[
        float | None, typer.Option(help="Most energy above the lowest conformer, kcal/mol.", show_default="off")
    ] = None,
    lengths: backbone_options.Lengths = None,
    helix: backbone_options.Helix = None,
    strand: backbone_options.Strand = None,
    fold: backbone_options.Fold = None,
    secondary: backbone_options.Secondary = None,
    noise_scale: backbone_options.NoiseScale = None,
    churn: backbone_options.Churn = None,
    guidance: backbone_options.Guidance = 1.0,
    structure: backbone_options.Template = None,
    chain: backbone_options.ChainName = None,
    t: backbone_options.Share = 0.0,
    fixed: backbone_options.Fixed = None,
    at: backbone_options.At = None,
    residue: backbone_options.Residue = "ALA",
    idealise: backbone_options.Idealise = True,
    keep_failed: backbone_options.KeepFailed = False,
    weights: Weights = None,
    model: ModelName = None,
    device: Device = None,
) -> None:
    """Sample conformers of molecules, or with --length protein backbones, without a server.

    Each conformer is checked: finite, bonds whole, no clash, and the stereochemistry that was asked for.  The exit code
    is 0 when all were made and finished as asked, 1 when something is missing (the reasons are printed), 2 when nothing
    could be tried.

    Examples:

    `shapespace sample "CCO" -n 10 -o out.sdf --seed 1`

    `shapespace sample in.smi -n 50 -o out_dir --format pdb`

    `shapespace sample in.smi -n 50 -o out_dir --start etkdg`

    `shapespace sample in.smi -n 50 -o out.sdf --relax mmff94s --prune-rmsd .125 --rank`

    `shapespace sample --length 100 --helix .4 -n 8 -o out_dir`
    """
    backbone_options.check_source(source, lengths, structure, chain, t, fixed, at)
    backbone_options.check_options(context, source is None)
    if source is None:
        from app.commands import sample_backbones

        wish = {"helix": helix, "strand": strand, "fold": fold, "secondary": secondary}
        task = sample_backbones.Task(tuple(lengths or ()), count, seed, wish, residue, idealise, keep_failed)
        task = replace(task, structure=structure, chain=chain, t=t, fixed=tuple(fixed or ()), at=tuple(at or ()))
        path = {
            "kind": kind or "sde", "steps": steps, "schedule": schedule or "log", "noise_scale": noise_scale,
            "churn": churn, "guidance": guidance,
        }  # fmt: skip
        raise typer.Exit(sample_backbones.run(task, out, path, file_format, weights, model, device))
    if stereo not in ("sample", "enumerate"):
        raise typer.BadParameter(f"{stereo!r}; allowed: sample, enumerate", param_hint="--stereo")
    from app.commands import sample as command
    from models.finishing.options import FinishOptions

    sampling = {
        "start": start, "start_time": start_time, "tries": tries, "kind": kind or "ode", "steps": steps,
        "schedule": schedule or "uniform",
    }  # fmt: skip
    finish = FinishOptions(relax, energies, prune_rmsd, rank, energy_window)
    code = command.run(
        source, out, count, seed, sampling, finish, file_format, stereo, max_stereoisomers, weights, model, device
    )
    raise typer.Exit(code)
