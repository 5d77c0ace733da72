"""Which packages a machine that has torch lacks for training, and their wheels."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import app
from models.errors import DataError

# Prints, for each distribution that training loads, one importable name that it provides.  The parser loads some only
# when it is used, so it is sent after a file that is not there.
_LIST_LOADED = """
import contextlib, json, sys
from importlib.metadata import packages_distributions
import app.commands.train
from app.cli import cli
with contextlib.suppress(OSError):
    cli(["train", "--config", "no/such/file", "--out", "no/such/folder"], standalone_mode=False)
owners = packages_distributions()
tops = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps({owner: top for top in tops for owner in owners.get(top, ())}))
"""


def needed(have: Iterable[str]) -> dict[str, str]:
    """Distributions that training loads, each with a module of it, without torch and what torch brings along."""
    command = [sys.executable, "-c", _LIST_LOADED]
    root = Path(app.__file__).parents[1]
    loaded = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    absent = _with_dependencies("torch") | {normal(name) for name in have} | {"shapespace"}
    return {name: top for name, top in json.loads(loaded).items() if normal(name) not in absent}


def download(requirements: Sequence[str], python: str, folder: Path) -> None:
    """Fetch wheels for this platform and the given Python with pip."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--python-version", python, "--dest", str(folder), *requirements]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["no message"]
        raise DataError(f"pip could not download the wheels: {lines[-1]}")


def _with_dependencies(name: str) -> set[str]:
    """A distribution and all that it needs, as far as it is installed."""
    found: set[str] = set()
    open_names = [normal(name)]
    while open_names:
        current = open_names.pop()
        if current in found:
            continue
        found.add(current)
        try:
            wanted = requires(current) or []
        except PackageNotFoundError:
            continue  # for another platform
        # Extras are not installed along with a distribution.
        names = (re.match(r"[\w.-]+", text) for text in wanted if "extra ==" not in text)
        open_names += [normal(match[0]) for match in names if match]
    return found


def normal(name: str) -> str:
    """Name of a distribution as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()
