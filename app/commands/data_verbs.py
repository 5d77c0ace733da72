"""Verbs that make training data: options and help; the work is done elsewhere, and imported when called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def molecules(
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


def proteins(
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
