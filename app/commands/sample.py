"""Sample molecules to files without a server."""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.commands.source import read_source
from app.intake.finisher import finish_all
from app.intake.guesser import PoolGuesser
from app.intake.pool import ChildPool
from app.intake.reading import Reading, Refusal
from app.settings import Settings, build_settings
from models.errors import FormatError
from models.export.archive import file_stem, to_zip
from models.export.format import Format, find_format
from models.export.formats import FORMATS
from models.export.molecule import to_summary
from models.finishing.options import FinishOptions
from models.structure import Ensemble, Molecule

console = Console(stderr=True)
_MOLECULES_AT_ONCE = 64


@dataclass(frozen=True)
class Target:
    """Where structures go: one file, a zip, or a folder with a file per molecule."""

    path: Path
    kind: str
    file_format: Any


def run(
    source: str,
    out: Path,
    count: int,
    seed: int | None,
    sampling: dict[str, Any],
    finish: FinishOptions,
    format_name: str | None,
    stereo: str,
    max_stereoisomers: int,
    weights: Path | None,
    model_name: str | None,
    device: str | None,
) -> int:
    """Sample everything in `source` and write it to `out`; `sampling` is for `build_options`, None for a default.

    Returns:
        Exit code: 0 when every conformer was made and finished as asked, 1 when something is missing.
    """
    settings = build_settings(weights_dir=weights, model=model_name, device=device)
    target = choose_target(out, format_name)
    make_room(target)
    seed = secrets.randbelow(2**32) if seed is None else seed
    many = max_stereoisomers if stereo == "enumerate" else 1
    readings = [Reading(form, text, name, seed, many) for form, text, name in read_source(source)]
    pool = ChildPool(settings.parse_processes, settings.parse_timeout_s, settings.parse_memory_mb)
    pool.start()  # the children load RDKit while this process loads torch and the weights
    try:
        futures = [pool.submit(reading) for reading in readings[:_MOLECULES_AT_ONCE]]
        return _sample_all(readings, futures, pool, settings, target, count, seed, sampling, finish)
    finally:
        pool.close()


def choose_target(
    out: Path,
    format_name: str | None,
    formats: Mapping[str, Format[Any]] = FORMATS,
) -> Target:
    """What `--out` means: a known extension is one file, `.zip` an archive, anything else a folder.

    Args:
        out: The option.
        format_name: `--format`.
        formats: By name; the first is the default, and `mmcif` is among them.

    Raises:
        FormatError: The extension and `--format` contradict each other, or neither is known.
    """
    by_extension = {f".{f.extension}": f for f in formats.values()} | {".mmcif": formats["mmcif"]}
    suffix = out.suffix.lower()
    named = find_format(format_name, formats) if format_name else None
    if suffix in by_extension:
        if named and named != by_extension[suffix]:
            raise FormatError(f"--out {out} is {by_extension[suffix].name} but --format is {named.name}; drop one")
        return Target(out, "file", by_extension[suffix])
    if suffix and suffix != ".zip" and not out.is_dir():
        known = ", ".join([*by_extension, ".zip"])
        raise FormatError(f"--out {out} has the unknown extension {suffix!r}; allowed: {known}, or a folder")
    return Target(out, "zip" if suffix == ".zip" else "folder", named or next(iter(formats.values())))


def make_room(target: Target) -> None:
    """Make the folder that will be written to, before the long work.

    Raises:
        FormatError: It cannot be made.
    """
    folder = target.path if target.kind == "folder" else target.path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if target.kind != "folder" and target.path.is_dir():
            raise IsADirectoryError(0, "it is a folder")
    except OSError as error:
        raise FormatError(f"--out {target.path} cannot be written ({error.strerror}); choose another") from None


def _sample_all(
    readings: list[Reading],
    futures: list[Future[list[Molecule] | Refusal]],
    pool: ChildPool,
    settings: Settings,
    target: Target,
    count: int,
    seed: int,
    sampling: dict[str, Any],
    finish: FinishOptions,
) -> int:
    from app.main import load_molecules  # torch; loaded while the children read
    from models.options import build_options
    from models.pipeline import generate

    options = build_options(**{k: v for k, v in sampling.items() if v is not None}, half=settings.half)
    with console.status("loading the model"):
        model = load_molecules(settings)
        model.check_sampler(options.kind)
    stop = Event()
    signal.signal(signal.SIGINT, lambda number, frame: stop.set())  # Ctrl-C keeps what is finished
    ensembles: list[Ensemble] = []
    refused: list[tuple[str, Refusal]] = []
    columns = (TextColumn("conformers"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=count * len(readings))
        for at in range(0, len(readings), _MOLECULES_AT_ONCE):
            portion = slice(at, at + _MOLECULES_AT_ONCE)
            molecules: list[Molecule] = []
            for reading, future in zip(readings[portion], futures[portion], strict=True):
                answer = future.result()
                if isinstance(answer, Refusal):
                    refused.append((reading.name, answer))
                    bar.advance(task, count)
                    continue
                molecules.extend(answer)
                bar.update(task, total=(bar.tasks[0].total or 0) + count * (len(answer) - 1))
            ahead = readings[len(futures) :][:_MOLECULES_AT_ONCE]  # not all: guesses would wait
            futures += [pool.submit(reading) for reading in ahead]
            counts, seeds = [count] * len(molecules), [seed] * len(molecules)
            made = generate(
                model,
                molecules,
                counts,
                seeds,
                options,
                should_stop=stop.is_set,
                on_done=lambda n: bar.advance(task, n),
                guesser=PoolGuesser(pool),
            )
            ensembles.extend(asyncio.run(finish_all(pool, made, finish, stop.is_set)))
            if stop.is_set():
                break
    failures = [
        {"id": name, "status": "failed", "problems": [{"reason": r.reason, "detail": r.detail, "count": count}]}
        for name, r in refused
    ]
    results = [*map(to_summary, ensembles), *failures]
    manifest = {"model": model.name, "seed": seed, "sampling": options.to_values(), "results": results}
    written = write(target, ensembles, model.name, manifest)
    _report(ensembles, refused, written, seed, count)
    whole = all(e.status == "ok" and not (e.finishing and e.finishing.problems) for e in ensembles)
    return 0 if not stop.is_set() and not refused and whole else 1


def write(target: Target, ensembles: list[Ensemble], model: str, manifest: dict[str, Any]) -> list[Path]:
    """Write what was made and return the files; nothing is written when nothing was made."""
    made = [ensemble for ensemble in ensembles if ensemble.conformers]
    if not made:
        return []
    if target.kind == "folder":
        files = []
        for number, ensemble in enumerate(ensembles):
            if ensemble.conformers:
                name = f"{number:04d}_{file_stem(ensemble.molecule.id)}.{target.file_format.extension}"
                files.append(target.path / name)
                files[-1].write_text(target.file_format.write([ensemble], model))
        (target.path / "manifest.json").write_text(json.dumps(manifest, indent=2))
        return files
    if target.kind == "zip":
        target.path.write_bytes(to_zip(ensembles, model, target.file_format, manifest))
    else:
        target.path.write_text(target.file_format.write(made, model))
    return [target.path]


def _report(
    ensembles: list[Ensemble], refused: list[tuple[str, Refusal]], written: list[Path], seed: int, count: int
) -> None:
    """Say what was made, what was decided and what is missing."""
    for ensemble in ensembles:
        for note in ensemble.molecule.notes:
            typer.echo(f"{ensemble.molecule.id}: {note}", err=True)
        for problem in ensemble.problems:
            missing = f"{problem.count} of {ensemble.requested} conformers are missing"
            typer.echo(f"{ensemble.molecule.id}: {missing} ({problem.reason}): {problem.detail}", err=True)
        for problem in ensemble.finishing.removed if ensemble.finishing else ():
            typer.echo(
                f"{ensemble.molecule.id}: {problem.count} left out ({problem.reason}): {problem.detail}", err=True
            )
        for problem in ensemble.finishing.problems if ensemble.finishing else ():
            left = f"{problem.count} of {ensemble.requested} conformers are not finished as asked"
            typer.echo(f"{ensemble.molecule.id}: {left} ({problem.reason}): {problem.detail}", err=True)
    for name, refusal in refused:
        typer.echo(f"{name}: failed ({refusal.reason}): {refusal.detail}", err=True)
    total = sum(len(e.conformers) for e in ensembles)
    asked = count * (len(ensembles) + len(refused))
    place = (
        str(written[0])
        if len(written) == 1
        else f"{len(written)} files in {written[0].parent}"
        if written
        else "no file"
    )
    pruned = sum(e.num_pruned for e in ensembles)
    left_out = f" ({pruned} left out)" if pruned else ""
    typer.echo(f"{total} of {asked} conformers{left_out}, seed {seed}: {place}", err=True)
