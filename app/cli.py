"""The `shapespace` command: parse, call, print.  Heavy imports wait until a verb needs them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app import __version__
from app.commands import (
    backbone_verbs,
    bench_verbs,
    data_verbs,
    evaluation_verbs,
    jobs,
    sample_verb,
    submit,
    training_verbs,
)
from app.commands.keys import keys_cli
from app.commands.model_options import Device, Weights

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


@cli.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="$HOST or 127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one.", show_default="$PORT or 8000")] = None,
    weights: Weights = None,
    model: Annotated[
        str | None, typer.Option(help="Of molecules; name in the registry.", show_default="molecules-small")
    ] = None,
    backbone_model: Annotated[
        str | None,
        typer.Option(help="Of backbones; '' serves none.", show_default="backbones-small, where it is registered"),
    ] = None,
    device: Device = None,
) -> None:
    """Start the HTTP service.

    Every setting can also come from the environment, as `SHAPESPACE_NAME`; `docs/operating.md` lists them.

    Example: `shapespace serve --port 8080`
    """
    from app.commands import serve as command

    command.run(host, port, weights, model, backbone_model, device)


cli.command()(sample_verb.sample)
cli.command()(training_verbs.train)

data_cli = typer.Typer(
    help="Make training data.\n\n"
    "Examples: `shapespace data molecules --source qm9 --exclude test.npz --out runs/ensembles`\n\n"
    "`shapespace data proteins structures -o set.npz`",
    no_args_is_help=True,
)
cli.add_typer(data_cli, name="data")
data_cli.command()(data_verbs.molecules)
data_cli.command()(data_verbs.proteins)

evaluate_cli = typer.Typer(invoke_without_command=True)
cli.add_typer(evaluate_cli, name="evaluate")
evaluate_cli.callback()(evaluation_verbs.evaluate)
evaluate_cli.command()(backbone_verbs.backbones)
evaluate_cli.command()(backbone_verbs.scrmsd)

cli.command()(evaluation_verbs.compare)
cli.command()(evaluation_verbs.challenge)

bench_cli = typer.Typer(invoke_without_command=True)
cli.add_typer(bench_cli, name="bench")
bench_cli.callback()(bench_verbs.bench)
bench_cli.command()(bench_verbs.serve)
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


cli.command()(training_verbs.ship)
cli.command("gpu-bundle")(training_verbs.gpu_bundle)

experiment_cli = typer.Typer(
    help="Answer a question with several trainings and one comparison.\n\n"
    "Example: `shapespace experiment symmetry --data qm9.npz --exclude test.npz --out runs/symmetry`",
    no_args_is_help=True,
)
cli.add_typer(experiment_cli, name="experiment")
experiment_cli.command()(backbone_verbs.samplers)
experiment_cli.command()(backbone_verbs.wishes)
experiment_cli.command()(backbone_verbs.losses)
experiment_cli.command()(training_verbs.symmetry)

cli.add_typer(keys_cli, name="keys")
for verb in (submit.submit, jobs.jobs, jobs.result):
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
