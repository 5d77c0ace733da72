"""The `shapespace` command: parse, call, print.  Heavy imports wait until a verb needs them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from app import __version__
from app.commands import backbone_options, backbone_verbs, jobs
from app.commands.keys import keys_cli

cli = typer.Typer(
    name="shapespace",
    help="Sample 3D structures in shape space: SMILES in, verified conformer ensembles out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def show_version(asked: bool) -> None:
    """Print the version and stop."""
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@cli.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=show_version)
    ] = False,
) -> None:
    """Sample 3D structures in shape space: SMILES in, verified conformer ensembles out."""


Weights = Annotated[
    Path | None, typer.Option(help="Folder with registry.json and the weights.", show_default="weights")
]
ModelName = Annotated[str | None, typer.Option("--model", help="Name in the registry.", show_default="molecules-small")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1, ...", show_default="auto")]


@cli.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="$HOST or 127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one.", show_default="$PORT or 8000")] = None,
    weights: Weights = None,
    model: ModelName = None,
    device: Device = None,
) -> None:
    """Start the HTTP service.

    Every setting can also come from the environment, as SHAPESPACE_<NAME>; see the README.

    Example: `shapespace serve --port 8080`
    """
    from app.commands import serve as command

    command.run(host, port, weights, model, device)


@cli.command()
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
    noise_scale: backbone_options.NoiseScale = 0.5,
    churn: backbone_options.Churn = None,
    structure: backbone_options.Template = None,
    chain: backbone_options.ChainName = None,
    t: backbone_options.Share = 0.0,
    fixed: backbone_options.Fixed = None,
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
    if (source is None) == (lengths is None and structure is None):
        raise typer.BadParameter("give either molecules or --length or --structure", param_hint="SOURCE")
    if structure is not None and not (t or fixed):
        raise typer.BadParameter("it has no use without --t above 0 or --fixed", param_hint="--structure")
    if structure is None and (t or fixed):
        raise typer.BadParameter("--t and --fixed need it", param_hint="--structure")
    backbone_options.check_options(context, source is None)
    if source is None:
        from app.commands import sample_backbones

        wish = {"helix": helix, "strand": strand, "fold": fold, "secondary": secondary}
        task = sample_backbones.Task(tuple(lengths or ()), count, seed, wish, residue, idealise, keep_failed)
        task = replace(task, structure=structure, chain=chain, t=t, fixed=tuple(fixed or ()))
        path = {
            "kind": kind or "sde", "steps": steps, "schedule": schedule or "log", "noise_scale": noise_scale,
            "churn": churn,
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


@cli.command()
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


data_cli = typer.Typer(
    help="Make training data.\n\n"
    "Examples: `shapespace data molecules --source qm9 --exclude test.npz --out runs/ensembles`\n\n"
    "`shapespace data proteins structures -o set.npz`",
    no_args_is_help=True,
)
cli.add_typer(data_cli, name="data")


@data_cli.command("molecules")
def data_molecules(
    out: Annotated[Path, typer.Option(help="Folder of shards; `set.npz` in it is the result.")],
    source: Annotated[list[str], typer.Option(help="qm9, moses, components, or a file of SMILES; several take turns.")],
    exclude: Annotated[
        list[Path] | None, typer.Option(help="Test set (npz or csv) whose molecules are left out; may be repeated.")
    ] = None,
    method: Annotated[str, typer.Option(help="aimnet2 or gfn2.")] = "aimnet2",
    count: Annotated[int, typer.Option(min=1, help="Molecules to try.")] = 1000,
    starts: Annotated[int, typer.Option(min=1, help="ETKDGv3 guesses of each molecule.")] = 16,
    relaxed: Annotated[int, typer.Option(min=1, help="Most guesses that are relaxed, the lowest in energy.")] = 8,
    largest: Annotated[int, typer.Option(min=2, max=256, help="Most atoms of a molecule, with hydrogens.")] = 72,
    seed: Annotated[int, typer.Option(min=0, help="Fixes the order of the sources, open stereo and guesses.")] = 0,
    processes: Annotated[int, typer.Option(min=1, help="Child processes, one thread each.")] = 2,
    budget_s: Annotated[float | None, typer.Option(help="Stop after this many seconds.")] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Where downloaded files are kept.", show_default="~/.cache/shapespace")
    ] = None,
) -> None:
    """Make conformer ensembles to learn from: SMILES, ETKDGv3, MMFF94s, then AIMNet2 or GFN2-xTB.

    Each conformer is relaxed, checked (bonds and stereo unchanged, forces small), and kept within 6 kcal/mol of the
    lowest.  The work is done in shards; the same command goes on where it was stopped.

    Example: `shapespace data molecules --source moses --source components --exclude test.npz --count 2000
    --out runs/ensembles`
    """
    from app.commands import data as command

    settings = command.LabelSettings(starts=starts, relaxed=relaxed, largest=largest)
    command.run(
        source,
        method,
        exclude or [],
        out,
        count,
        settings,
        seed,
        processes,
        budget_s,
        cache or Path.home() / ".cache" / "shapespace",
    )


@data_cli.command("proteins")
def data_proteins(
    folder: Annotated[Path, typer.Argument(help="Folder of .pdb, .ent, .cif, .mmcif or .bcif files, also with .gz.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The set, an npz file.")],
    shortest: Annotated[int, typer.Option("--min", help="Fewest residues of a chain.")] = 40,
    longest: Annotated[int, typer.Option("--max", help="Most residues of a chain.")] = 256,
    validation: Annotated[float, typer.Option(help="Share of the chains kept for validation.")] = 0.05,
    test: Annotated[float, typer.Option(help="Share of the chains kept for tests.")] = 0.05,
    seed: Annotated[int, typer.Option(min=0, help="Decides which clusters are kept for validation and tests.")] = 0,
    processes: Annotated[int, typer.Option(min=1, help="Processes that read.")] = 2,
) -> None:
    """Pack the protein chains of a folder and its subfolders into a set of backbones to train on.

    Chains are cut where they are broken.  Clusters of similar sequences are never divided between training, validation
    and tests: 40 % identity if `mmseqs` (MMseqs2) is on the PATH, or else identical sequences.  The exit code is 0 when
    every file was read, 1 when some were left out (they are named), 2 when there is no set.

    Example: `shapespace data proteins structures -o set.npz --max 128`
    """
    from app.commands import data_proteins as command

    options = command.SetOptions(shortest, longest, validation, test, seed)
    raise typer.Exit(command.run(folder, out, options, processes))


evaluate_cli = typer.Typer(invoke_without_command=True)
cli.add_typer(evaluate_cli, name="evaluate")


@evaluate_cli.callback()
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


for measuring in (backbone_verbs.backbones, backbone_verbs.scrmsd):
    evaluate_cli.command()(measuring)


@cli.command()
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


@cli.command()
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


bench_cli = typer.Typer(invoke_without_command=True)
cli.add_typer(bench_cli, name="bench")


@bench_cli.callback()
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


@bench_cli.command("serve")
def bench_serve(
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
    with `--hostile` whether molecules that hurt are answered and their neighbours served; with `--kills` what a job
    loses when its servers are killed.

    Example: `shapespace bench serve --singles 100 --out out/serve.json`
    """
    from app.commands import bench_serve as command

    command.run(start, steps, singles, seconds, repeats, hostile, kills, out, weights, model, device)


bench_cli.command("backbones")(backbone_verbs.bench)


@cli.command()
def draw(
    source: Annotated[Path, typer.Argument(help="SDF with the conformers of each molecule one after another.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="PNG, SVG or PDF.")],
    hydrogens: Annotated[bool, typer.Option(help="Draw hydrogens too.")] = False,
    columns: Annotated[int, typer.Option(min=1, help="Molecules in a row.")] = 4,
) -> None:
    """Draw ensembles: the conformers of each molecule, superposed on its heavy atoms.

    Example: `shapespace draw out.sdf -o out.png`
    """
    from app.commands import draw as command

    command.run(source, out, hydrogens, columns)


@cli.command()
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


@cli.command("gpu-bundle")
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


experiment_cli = typer.Typer(
    help="Answer a question with several trainings and one comparison.\n\n"
    "Example: `shapespace experiment symmetry --data qm9.npz --exclude test.npz --out runs/symmetry`",
    no_args_is_help=True,
)
cli.add_typer(experiment_cli, name="experiment")
for comparing in (backbone_verbs.samplers, backbone_verbs.losses):
    experiment_cli.command()(comparing)


@experiment_cli.command("symmetry")
def experiment_symmetry(
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


cli.add_typer(keys_cli, name="keys")
for verb in (jobs.submit, jobs.jobs, jobs.result):
    cli.command()(verb)


def main() -> None:
    """Entry point; errors a user can cause become one line and an exit code."""
    from models.errors import ModelError

    try:
        cli()
    except ModelError as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(2) from None


__all__ = ["__version__", "cli", "main"]
