"""Sample protein backbones to files without a server."""

from __future__ import annotations

import io
import json
import secrets
import signal
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from threading import Event
from typing import Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.commands.sample import Target, choose_target, console, make_room
from app.commands.tables import new_table, show
from app.settings import build_settings
from models.backbone import BackboneEnsemble, BackboneReport
from models.export.backbone_archive import MANIFEST, QUALITY, to_backbone_zip
from models.export.backbone_formats import BACKBONE_FORMATS


@dataclass(frozen=True)
class Task:
    """What is to be made.

    Attributes:
        lengths: Residues of each.
        count: Backbones of each.
        seed: Of all; None draws one.
        wish: What is asked of the chains; fields of `models.data.blueprints.Wish`.
        residue: Name of all residues.
        idealise: Whether bonds and angles are brought to their ideal values.
        keep_failed: Whether what fails the checks is kept.
        structure: File to begin at, or to take fixed residues from; sets the length.
        chain: Its chain; None where there is only one.
        t: Share of the structure where paths begin; 0 begins at noise.
        fixed: Residues that keep their shape; see `models.data.motif.read_template`.
        at: Places for them in chains of other lengths; see `models.data.motif.place_motif`.
    """

    lengths: tuple[int, ...]
    count: int
    seed: int | None
    wish: dict[str, Any]
    residue: str = "ALA"
    idealise: bool = True
    keep_failed: bool = False
    structure: Path | None = None
    chain: str | None = None
    t: float = 0.0
    fixed: tuple[str, ...] = ()
    at: tuple[int, ...] = ()


def run(
    task: Task,
    out: Path,
    sampling: dict[str, Any],
    format_name: str | None,
    weights: Path | None,
    model_name: str | None,
    device: str | None,
) -> int:
    """Sample backbones and write them to `out`; `sampling` is for `build_chain_options`.

    Returns:
        Exit code: 0 when every backbone was made, 1 when something is missing.
    """
    settings = build_settings(weights_dir=weights, backbone_model=model_name, device=device)
    target = choose_target(out, format_name, BACKBONE_FORMATS)
    make_room(target)

    from app.main import load
    from models.data.blueprints import Wish, build_blueprint, name_lengths
    from models.data.motif import Template, place_motif, read_template
    from models.data.structures import LIMIT_BYTES
    from models.draws import spread_seeds
    from models.errors import BackboneError
    from models.export.backbones import check_pdb, check_pdb_place
    from models.export.polymer import check_residue
    from models.options import STRUCTURE, build_chain_options
    from models.pipeline import generate

    check_residue(task.residue)
    begin: dict[str, Any] = {"start": STRUCTURE, "start_time": task.t} if task.t else {}
    options = build_chain_options(**sampling, **begin, held=bool(task.fixed), half=settings.half)
    template: Template | None = None
    if task.structure and task.at:
        template = place_motif(task.structure, task.fixed, task.at, LIMIT_BYTES)
    elif task.structure:
        template = read_template(task.structure, task.chain, task.fixed, LIMIT_BYTES)
    lengths = task.lengths or ((len(template),) if template else ())
    wish = Wish(**task.wish)
    if options.guided and wish.empty:
        raise typer.BadParameter("it has no use without a wish, such as --helix", param_hint="--guidance")
    if target.file_format is BACKBONE_FORMATS["pdb"] and target.kind == "file":
        check_pdb([length for length in lengths for _ in range(task.count)])
    if template is not None and target.file_format is BACKBONE_FORMATS["pdb"]:
        check_pdb_place(template.laid_onto)
    with console.status("loading the model"):
        model = load(settings.model_copy(update={"model": settings.backbone_model}))
        for length in lengths:
            try:
                model.check_length(length)
            except BackboneError as error:
                raise BackboneError(
                    f"{template.stretch}; {error}" if template and not task.lengths else str(error)
                ) from None
        model.check_sampler(options.kind)
    blueprints = []
    for name, length in zip(name_lengths(lengths), lengths, strict=True):
        if template is not None and template.free and length < len(template):
            raise typer.BadParameter(f"{length}; fixed residues reach to place {len(template)}", param_hint="--length")
        x, fixed = template.widened(length) if template else (None, None)
        start = x if task.t else None
        blueprints.append(build_blueprint(name, length, wish, start, fixed, x, task.keep_failed, task.idealise))
    seed = secrets.randbelow(2**32) if task.seed is None else task.seed
    counts, seeds = [task.count] * len(blueprints), spread_seeds(lengths, seed, task.count)
    stop = Event()
    signal.signal(signal.SIGINT, lambda number, frame: stop.set())  # Ctrl-C keeps what is finished
    columns = (TextColumn("backbones"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        row = bar.add_task("", total=sum(counts))
        made = generate(
            model, blueprints, counts, seeds, options,
            should_stop=stop.is_set, on_done=lambda number: bar.advance(row, number),
        )  # fmt: skip
    manifest = {
        "model": model.name,
        "seed": seed,
        "sampling": options.to_chain_values(),
        "residue": task.residue,
        "condition": asdict(wish),
        "idealise": task.idealise,
        "keep_failed": task.keep_failed,
        "template": template and template.to_values(),
    }
    place = write(target, made, model.name, manifest, task.residue)
    show_quality(made)
    for ensemble in made:
        if ensemble.reason is not None:
            typer.echo(f"{ensemble.id}: {ensemble.detail}", err=True)
    if template is not None:
        part = f"residues {template.first} to {template.last} of chain {template.chain}"
        part = ", ".join(task.fixed) if template.free else part
        where = f"; fixed are {', '.join(template.places)} of the samples" if template.places else ""
        typer.echo(f"{task.structure}: {part} were taken{where}", err=True)
    total = sum(len(ensemble.samples) for ensemble in made)
    typer.echo(f"{total} of {sum(counts)} backbones, seed {seed}: {place}", err=True)
    return 0 if total == sum(counts) else 1


def write(target: Target, ensembles: list[BackboneEnsemble], model: str, manifest: dict[str, Any], residue: str) -> str:
    """Write what was made and say where; nothing is written when nothing was made."""
    if not any(ensemble.samples for ensemble in ensembles):
        return "no file"
    if target.kind == "file":
        target.path.write_bytes(target.file_format.write(ensembles, model, residue))
        return str(target.path)
    content = to_backbone_zip(ensembles, model, target.file_format, manifest, residue)
    if target.kind == "zip":
        target.path.write_bytes(content)
        return str(target.path)
    _clear(target.path)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(target.path)
        return f"{len(archive.namelist()) - 2} files and {QUALITY} in {target.path}"


def _clear(folder: Path) -> None:
    """Remove the backbones that an earlier call left here, or they would be taken for new ones."""
    try:
        lengths = json.loads((folder / MANIFEST).read_text())["lengths"]
        names = [name for length in lengths for name in length["files"] if Path(name).name == name]
    except (OSError, ValueError, LookupError, TypeError):
        return  # there is none, or it is none of ours
    for path in (folder / name for name in names):
        if path.is_file():
            path.unlink()


def show_quality(ensembles: list[BackboneEnsemble]) -> None:
    """One line for each backbone, and the means of all."""
    table = new_table(
        "ID", "SEED", "DRAWS", "HELIX", "STRAND", "RG/NATURAL", "FAVOURED", "ALLOWED", "TRANS", "BONDS OFF, Å",
        "CLASHES", "BREAKS", "MOTIF, Å", "CHECKS",
    )  # fmt: skip
    made = [(ensemble.id, sample) for ensemble in ensembles for sample in ensemble.samples]
    if not made:
        return
    for name, sample in made:
        own, motif = sample.quality, sample.motif_rmsd_ang
        table.add_row(
            name, str(sample.seed), str(sample.attempts), *_figures([own]), str(own.clashes), str(own.breaks),
            "" if motif is None else f"{motif:.2f}", own.fault or "passed",
        )  # fmt: skip
    if len(made) > 1:
        reports = [sample.quality for _, sample in made]
        passed = f"{sum(report.passed for report in reports)} of {len(reports)} passed"
        table.add_row("mean", "", "", *_figures(reports), "", "", "", passed)
    show(table)


def _figures(reports: list[BackboneReport]) -> list[str]:
    """Helix, strand, radius of gyration, favoured and allowed torsions, trans peptides and bonds: the mean of each."""
    names = ("helix", "strand", "rg_ratio", "favoured", "allowed", "trans_share", "bond_error_ang")
    forms = (".0%", ".0%", ".2f", ".1%", ".1%", ".1%", ".3f")
    means = [fmean(getattr(report, name) for report in reports) for name in names]
    return [format(mean, form) for mean, form in zip(means, forms, strict=True)]
