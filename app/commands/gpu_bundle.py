"""Carry a training run to a bare machine with a GPU, and bring its checkpoint back.

The bundle is a folder, and the same as tar files: code, configuration, packed data, checkpoint, and wheels of what the
code loads besides torch.  The other machine needs no network, only Python with torch.  Evaluation stays at home: it
needs the test sets, and only the checkpoint comes back.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

import typer

import app
from app.commands.gpu_wheels import download, needed, normal
from models.errors import DataError

MEGABYTE = 1_000_000
MANIFEST = "manifest.json"
_CODE = ("app", "models", "weights/configs", "pyproject.toml")
_TRIES = 5
_TAR_BLOCK, _TAR_RECORD = 512, 10_240  # each file is padded to a block, a tar to a record


def run(
    run_folder: Path,
    out: Path,
    have: Sequence[str] = (),
    python: str | None = None,
    limit_mb: float = 60.0,
    split: bool = False,
    fetch: Callable[[Sequence[str], str, Path], None] | None = None,
) -> list[Path]:
    """Make a bundle as a folder and as tar files.

    Args:
        run_folder: A run that has packed its data; without a checkpoint it begins at step 0.
        out: Folder to make; the tar files are put beside it.
        have: Distributions that the other machine already has; `all` leaves every wheel out.
        python: Python of the other machine, such as 3.12, which decides what wheels fit; None is this one.
        limit_mb: Most bytes of one tar, in millions.
        split: Allow more than one tar.
        fetch: Downloads exact requirements for a Python into a folder; None takes pip.

    Returns:
        The tar files.

    Raises:
        DataError: The run is not ready, or the bundle is larger than allowed.
    """
    root = Path(app.__file__).parents[1]
    if not (root / "pyproject.toml").is_file():
        raise DataError("a GPU bundle needs the source tree; run this command from a checkout, not from a wheel")
    for name in ("config.json", "packed.npz"):
        if not (run_folder / name).is_file():
            raise DataError(f"{run_folder / name} is missing; start the run here once, so that its data is packed")
    python = python or f"{sys.version_info.major}.{sys.version_info.minor}"
    _clear(out)
    _copy_code(root, out / "code")
    step = _copy_run(run_folder, out / "run")
    modules = {} if "all" in have else needed(have)
    (out / "wheels").mkdir()
    if modules:
        (fetch or download)([f"{name}=={version(name)}" for name in sorted(modules)], python, out / "wheels")
    shutil.copy(Path(__file__).with_suffix(".sh"), out / "run.sh")
    limit = int(limit_mb * MEGABYTE)
    if tar_size(_files(out)) > limit:
        typer.echo("above the limit; compressing wheels and data harder, which takes minutes")
        _squeeze(out)
    _write_manifest(out, modules, python, step)
    tars = write_tars(out, limit, split)
    start = "from the start" if step is None else f"from step {step:,}"
    listed = ", ".join(f"{tar.name} {tar.stat().st_size / MEGABYTE:.1f} MB" for tar in tars)
    typer.echo(f"{listed}; unpack into one place and run: bash {out.name}/run.sh SECONDS  (goes on {start})")
    return tars


def take_back(folder: Path, run_folder: Path) -> None:
    """Put what `run.sh` left in its OUT folder into the run at home.

    Raises:
        DataError: It is not a checkpoint of this run, or not further than the one at home.
    """
    there, here = folder / "checkpoint", run_folder / "checkpoint"
    step, step_here = _step(there), _step(here)
    if step is None:
        raise DataError(f"no checkpoint/progress.json in {folder}; give the folder that run.sh wrote as OUT")
    if not (run_folder / "config.json").is_file() or _pinned(folder) != _pinned(run_folder):
        raise DataError(f"{folder} comes from a run with another configuration than {run_folder}")
    if step_here is not None:
        if step <= step_here:
            raise DataError(f"{folder} is at step {step:,} and {run_folder} at step {step_here:,}; nothing to take")
        lost = {path.name for path in here.iterdir()} - {path.name for path in there.iterdir()}
        if lost:
            raise DataError(f"{there} lacks {', '.join(sorted(lost))}")
    fresh, old = here.with_name("checkpoint.new"), here.with_name("checkpoint.old")
    for path in (fresh, old):
        shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(there, fresh)
    if here.exists():
        here.rename(old)
    fresh.rename(here)
    shutil.rmtree(old, ignore_errors=True)
    if (folder / "log.jsonl").is_file():
        shutil.copy2(folder / "log.jsonl", run_folder / "log.jsonl")
    typer.echo(f"{run_folder} is now at step {step:,}")


def tar_size(paths: Iterable[Path]) -> int:
    """Bytes of a tar of these files, rounded as tar does it."""
    # Two blocks for each header, because a long path takes a second one, and two that end the archive.
    blocks = 2 + sum(3 + -(-path.stat().st_size // _TAR_BLOCK) for path in paths)
    return -(-blocks * _TAR_BLOCK // _TAR_RECORD) * _TAR_RECORD


def write_tars(folder: Path, limit: int, split: bool) -> list[Path]:
    """Tar the folder, in whole files, into as few archives as a greedy choice finds."""
    for stale in folder.parent.glob(f"{folder.name}*.tar"):
        if re.fullmatch(re.escape(folder.name) + r"(-\d+)?\.tar", stale.name):
            stale.unlink()
    largest = sorted(_files(folder), key=lambda path: (-path.stat().st_size, path))
    parts: list[list[Path]] = []
    for path in largest:
        if tar_size([path]) > limit:
            raise DataError(f"{_listed(folder, [path])} alone is above the limit of {limit / MEGABYTE:g} MB")
        room = next((part for part in parts if tar_size([*part, path]) <= limit), None)
        if room is None:
            parts.append(room := [])
        room.append(path)
    if len(parts) > 1 and not split:
        raise DataError(
            f"the bundle has {tar_size(largest) / MEGABYTE:.1f} MB, the limit is {limit / MEGABYTE:g} MB; largest: "
            f"{_listed(folder, largest[:5])}. Name what the other machine has with --have, or allow {len(parts)} tar "
            "files with --split"
        )
    names = [f"{folder.name}-{k}.tar" for k in range(1, len(parts) + 1)] if len(parts) > 1 else [f"{folder.name}.tar"]
    tars = [folder.with_name(name) for name in names]
    for tar, part in zip(tars, parts, strict=True):
        with tarfile.open(tar, "w") as archive:
            for path in sorted(part):
                archive.add(path, f"{folder.name}/{path.relative_to(folder)}")
    return tars


def _clear(out: Path) -> None:
    """Make an empty folder; only an earlier bundle is removed for it."""
    if out.exists() and not (out / MANIFEST).is_file() and any(out.iterdir()):
        raise DataError(f"{out} exists and is no earlier bundle; choose another --out")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    (out / MANIFEST).write_text("{}")  # marks the folder as ours, should this be interrupted


def _copy_code(root: Path, out: Path) -> None:
    ignore = shutil.ignore_patterns("__pycache__", ".*")
    for name in _CODE:
        if (root / name).is_dir():
            shutil.copytree(root / name, out / name, ignore=ignore)
        elif (root / name).is_file():
            shutil.copy2(root / name, out / name)


def _copy_run(run_folder: Path, out: Path) -> int | None:
    """Copy a run, which may be going on, and return the step of its checkpoint."""
    out.mkdir()
    for name in ("config.json", "packed.npz", "data.json", "log.jsonl"):
        if (run_folder / name).is_file():
            shutil.copy2(run_folder / name, out / name)
    source, copy = run_folder / "checkpoint", out / "checkpoint"
    for _ in range(_TRIES):
        before = _stamp(source)
        if before is None:
            if not any(source.with_name(source.name + end).exists() for end in (".new", ".old")):
                return None
            time.sleep(0.2)  # between two renames
            continue
        shutil.rmtree(copy, ignore_errors=True)
        try:
            shutil.copytree(source, copy)
        except (shutil.Error, FileNotFoundError):
            continue  # replaced by a newer one meanwhile
        if _stamp(source) == before:
            return _step(copy)
    raise DataError(f"{source} is being replaced, or was left so by a kill; stop or resume the run, then try again")


def _stamp(checkpoint: Path) -> tuple[int, int] | None:
    """What changes when the folder is replaced by a newer checkpoint."""
    try:
        about = (checkpoint / "progress.json").stat()
    except FileNotFoundError:
        return None
    return about.st_ino, about.st_mtime_ns


def _squeeze(out: Path) -> None:
    """Compress wheels and data harder; readers of zip files take LZMA as they take deflate."""
    for path in [*out.glob("wheels/*.whl"), *out.glob("run/*.npz")]:
        fresh = path.with_suffix(".tmp")
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(fresh, "w", zipfile.ZIP_LZMA) as new:
            for name in old.namelist():
                new.writestr(name, old.read(name))
        fresh.replace(path)


def _write_manifest(out: Path, modules: dict[str, str], python: str, step: int | None) -> None:
    wheels = {}
    for name, module in modules.items():
        found = [path.name for path in (out / "wheels").iterdir() if normal(path.name.split("-")[0]) == normal(name)]
        if len(found) != 1:
            raise DataError(f"expected one wheel of {name} in {out / 'wheels'}, found {len(found)}")
        wheels[module] = found[0]
    files = {str(path.relative_to(out)): path.stat().st_size for path in _files(out) if path.name != MANIFEST}
    about = {"version": app.__version__, "python": python, "step": step, "wheels": wheels, "files": files}
    (out / MANIFEST).write_text(json.dumps(about, indent=1))


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _listed(folder: Path, paths: Iterable[Path]) -> str:
    return ", ".join(f"{path.relative_to(folder)} {path.stat().st_size / MEGABYTE:.1f} MB" for path in paths)


def _step(checkpoint: Path) -> int | None:
    path = checkpoint / "progress.json"
    return int(json.loads(path.read_text())["step"]) if path.is_file() else None


def _pinned(folder: Path) -> dict | None:
    """Configuration without the budget, which may differ between the pieces of a run."""
    path = folder / "config.json"
    return {**json.loads(path.read_text()), "budget_s": None} if path.is_file() else None
