"""Options of `shapespace sample` and `submit` that are of backbones, and which options belong to what."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_PANEL = "Options of backbones"


Lengths = Annotated[
    list[int] | None,
    typer.Option("--length", min=1, rich_help_panel=_PANEL, help="Residues of a backbone; may be repeated."),
]
Helix = Annotated[
    float | None, typer.Option("--helix", rich_help_panel=_PANEL, help="Share of residues in helices, 0 to 1.")
]
Strand = Annotated[
    float | None, typer.Option("--strand", rich_help_panel=_PANEL, help="Share of residues in strands, 0 to 1.")
]
Fold = Annotated[str | None, typer.Option("--fold", rich_help_panel=_PANEL, help="Class of SCOPe, a to g.")]
Secondary = Annotated[
    str | None, typer.Option("--secondary", rich_help_panel=_PANEL, help="H, E, C or - (any) for each residue.")
]
NoiseScale = Annotated[
    float | None,
    typer.Option(
        "--noise-scale",
        min=0,
        rich_help_panel=_PANEL,
        help="Of the sde: the less, the more regular and alike.",
        show_default="0.5",
    ),
]
Churn = Annotated[
    float | None,
    typer.Option(
        "--churn",
        min=0,
        rich_help_panel=_PANEL,
        help="Of the sde: how strongly noise and score act.",
        show_default="a tenth of the steps",
    ),
]
Guidance = Annotated[
    float,
    typer.Option(
        "--guidance",
        min=0,
        rich_help_panel=_PANEL,
        help="How strongly wishes are followed: 1 as learnt; any other doubles the work.",
    ),
]
Template = Annotated[
    Path | None,
    typer.Option(
        "--structure",
        rich_help_panel=_PANEL,
        help="PDB or mmCIF file, of `sample` also BinaryCIF, for --t and --fixed.",
    ),
]
ChainName = Annotated[
    str | None, typer.Option("--chain", rich_help_panel=_PANEL, help="Its chain, where there are several.")
]
Share = Annotated[
    float,
    typer.Option(
        "--t", min=0, rich_help_panel=_PANEL, help="Share of the structure at the start, below 1; 0 begins at noise."
    ),
]
Fixed = Annotated[
    list[str] | None,
    typer.Option("--fixed", rich_help_panel=_PANEL, help="Residues that keep their shape: A10-20; may be repeated."),
]
At = Annotated[
    list[int] | None,
    typer.Option(
        "--at",
        min=1,
        max=10_000,
        rich_help_panel=_PANEL,
        help="Place in the samples of the first residue of each --fixed, which then may have any --length.",
    ),
]
Residue = Annotated[str, typer.Option("--residue", rich_help_panel=_PANEL, help="Name of all residues: ALA or GLY.")]
Idealise = Annotated[
    bool,
    typer.Option("--idealise/--no-idealise", rich_help_panel=_PANEL, help="Bring bonds and angles to ideal values."),
]
KeepFailed = Annotated[
    bool, typer.Option("--keep-failed", rich_help_panel=_PANEL, help="Keep what fails the checks too.")
]

BACKBONES_ONLY = frozenset({
    "lengths", "helix", "strand", "fold", "secondary", "noise_scale", "churn", "guidance",
    "structure", "chain", "t", "fixed", "at", "residue", "idealise", "keep_failed",
})  # fmt: skip
MOLECULES_ONLY = frozenset({
    "source", "start", "start_time", "tries", "stereo", "max_stereoisomers", "relax", "energies", "prune_rmsd", "rank",
    "energy_window",
})  # fmt: skip


def check_source(
    source: str | None,
    lengths: list[int] | None,
    structure: Path | None,
    chain: str | None,
    t: float,
    fixed: list[str] | None,
    at: list[int] | None,
) -> None:
    """Refuse what is neither molecules nor backbones, or both, and a structure without a use.

    Raises:
        BadParameter: In words.
    """
    if (source is None) == (lengths is None and structure is None):
        raise typer.BadParameter("give either molecules or --length or --structure", param_hint="SOURCE")
    if structure is not None and not (t or fixed):
        raise typer.BadParameter("it has no use without --t above 0 or --fixed", param_hint="--structure")
    if structure is None and (t or fixed or chain):
        raise typer.BadParameter("--t, --fixed and --chain need it", param_hint="--structure")
    if at and (len(at) != len(fixed or ()) or not lengths or t or chain):
        raise typer.BadParameter(
            "give one for each --fixed, which names its chain, and --length; not with --t or --chain", param_hint="--at"
        )
    if t >= 1:
        raise typer.BadParameter(f"{t:g}; allowed: 0 and above, below 1", param_hint="--t")


def check_options(context: typer.Context, backbones: bool) -> None:
    """Refuse options that have no meaning for what is sampled.

    Raises:
        BadParameter: One was given.
    """
    others = MOLECULES_ONLY if backbones else BACKBONES_ONLY
    for parameter in context.command.params:
        name = parameter.name or ""
        if name in others and _is_given(context, name):
            what = "backbones" if backbones else "molecules"
            raise typer.BadParameter(f"it has no meaning for {what}; leave it out", param_hint=parameter.opts[-1])


def _is_given(context: typer.Context, name: str) -> bool:
    """Whether an option was written on the command line."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
