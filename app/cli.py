"""The `shapespace` command: parse, call, print.  Heavy imports wait until a verb needs them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app import __version__

cli = typer.Typer(
    name="shapespace",
    help="Sample 3D structures in shape space: SMILES in, verified conformer ensembles out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


@cli.callback()
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
) -> None:
    """Sample 3D structures in shape space: SMILES in, verified conformer ensembles out."""
    if version:
        typer.echo(__version__)
        raise typer.Exit


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


def main() -> None:
    """Entry point; errors a user can cause become one line and an exit code."""
    from models.errors import ModelError

    try:
        cli()
    except ModelError as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(2) from None


__all__ = ["__version__", "cli", "main"]
