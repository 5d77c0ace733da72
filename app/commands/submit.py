"""A job for a service, of molecules or of backbones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from app.commands import backbone_options
from app.commands.jobs import URL, ApiKey, Url, connect


def submit(
    context: typer.Context,
    source: Annotated[
        str | None,
        typer.Argument(help="A SMILES, a .smi or .sdf file, or - for SMILES on standard input; none with --length."),
    ] = None,
    count: Annotated[
        int,
        typer.Option(
            "--num-conformers", "--num-samples", "-n", min=1, help="Conformers of each molecule, or backbones."
        ),
    ] = 10,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**53 - 1, help="Same seed, same structures.", show_default="drawn")
    ] = None,
    start: Annotated[
        str | None, typer.Option(help="noise, etkdg or mmff94s.", show_default="the service's, mmff94s")
    ] = None,
    start_time: Annotated[
        float | None, typer.Option(help="Share of the guess at the start.", show_default=False)
    ] = None,
    tries: Annotated[
        int | None, typer.Option(min=1, help="Guesses for each conformer; the lowest is taken.", show_default="1")
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--sampler", help="ode, heun or sde.", show_default="ode, for backbones sde")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Sampler steps.", show_default="5, from noise 50, backbones 200")
    ] = None,
    schedule: Annotated[
        str | None,
        typer.Option(help="Time grid: uniform, quadratic or log.", show_default="uniform, for backbones log"),
    ] = None,
    stereo: Annotated[
        str | None, typer.Option(help="Stereo left open: sample or enumerate.", show_default="sample")
    ] = None,
    max_stereoisomers: Annotated[int | None, typer.Option(min=1, help="Limit of enumerate.", show_default="8")] = None,
    relax: Annotated[str | None, typer.Option(help="mmff94s.", show_default="off")] = None,
    energies: Annotated[str | None, typer.Option(help="mmff94s.", show_default="off")] = None,
    prune_rmsd: Annotated[float | None, typer.Option(help="Å.", show_default="off")] = None,
    rank: Annotated[bool, typer.Option("--rank", help="Lowest energy first.")] = False,
    energy_window: Annotated[float | None, typer.Option(help="kcal/mol.", show_default="off")] = None,
    file_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="Of the files in a .zip and .json: sdf, pdb, xyz, mmcif; of backbones pdb, mmcif, bcif.",
            show_default="the first",
        ),
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
    idempotency_key: Annotated[
        str | None,
        typer.Option(
            help="Your name for this job: with it, the same command never makes another.", show_default="drawn"
        ),
    ] = None,
    url: Url = URL,
    api_key: ApiKey = None,
) -> None:
    """Submit a job to a service and print its address.

    The job goes on without this command and survives the service.  `shapespace jobs` tells how far it is, and
    `shapespace result` fetches its structures.  The exit code is 0 when the job is there, 2 when it is not.

    Examples:

    `shapespace submit in.smi -n 50 --seed 1`

    `shapespace submit --length 100 --length 128 -n 8`

    `shapespace result $(shapespace submit in.smi -n 50) -o out.sdf`

    `shapespace submit in.sdf --relax mmff94s --rank --url https://shapes.example.org --api-key KEY`
    """
    backbone_options.check_source(source, lengths, structure, chain, t, fixed, at)
    backbone_options.check_options(context, source is None)
    sampler = {"kind": kind, "steps": steps, "schedule": schedule}
    with connect(url, api_key) as client:
        if source is None:
            wish = {"helix": helix, "strand": strand, "fold": fold, "secondary": secondary}
            job = client.submit_backbones(
                lengths,
                count,
                sampler=_given(sampler | {"noise_scale": noise_scale, "churn": churn, "guidance": guidance}),
                condition=_given(wish),
                start=None if structure is None else _given({"structure": _text(structure), "chain": chain, "t": t}),
                fixed=fixed or None,
                at=at or None,
                residue=residue,
                idealise=idealise,
                keep_failed=keep_failed,
                idempotency_key=idempotency_key,
                seed=seed,
                format=file_format,
            )
        else:
            finish = {
                "relax": relax, "energies": energies, "prune_rmsd": prune_rmsd, "rank": rank or None,
                "energy_window": energy_window,
            }  # fmt: skip
            job = client.submit(
                _molecules(source),
                count,
                start=start,
                stereo=stereo,
                max_stereoisomers=max_stereoisomers,
                sampler=_given(sampler | {"start_time": start_time, "tries": tries}),
                finish=_given(finish),
                idempotency_key=idempotency_key,
                seed=seed,
                format=file_format,
            )
    typer.echo(f"{url.rstrip('/')}{job.record['links']['self']}")


def _molecules(source: str) -> list[dict[str, str]]:
    """Molecules of a request, each with a name of its own."""
    from app.commands.source import read_source

    molecules, names = [], set[str]()
    for form, text, name in read_source(source):
        while name in names:
            name += "'"
        names.add(name)
        molecules.append({form: text, "id": name})
    return molecules


def _text(structure: Path) -> str:
    """Text of a structure file.

    Raises:
        StructureError: It cannot be read, or is not text.
    """
    from models.errors import StructureError

    try:
        return structure.read_text()
    except (OSError, UnicodeDecodeError) as error:
        words = getattr(error, "strerror", None) or "it is not text"
        raise StructureError(f"--structure {structure} cannot be read ({words}); give a PDB or mmCIF file") from None


def _given(values: dict[str, Any]) -> dict[str, Any] | None:
    return {name: value for name, value in values.items() if value is not None} or None
