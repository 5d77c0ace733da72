import configparser
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from app import __version__

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the working tree, built with the hatchling of this environment and without a network."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_wheel_holds_every_module(names):
    modules = {path.relative_to(ROOT).as_posix() for room in ("app", "models") for path in (ROOT / room).rglob("*.py")}
    assert "models/data/molecule.py" in modules  # a pattern `data/` in .gitignore would leave that folder out
    assert modules <= names
    assert "models/evaluation/challenge.smi" in names


def test_wheel_holds_nothing_else(names):
    assert {name.split("/")[0] for name in names} == {"app", "models", f"shapespace-{__version__}.dist-info"}


def test_wheel_installs_the_command(wheel):
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(f"shapespace-{__version__}.dist-info/entry_points.txt").decode()
    points = configparser.ConfigParser()
    points.read_string(text)
    assert dict(points["console_scripts"]) == {"shapespace": "app.cli:main"}


def test_command_of_the_wheel_runs_outside_the_repository(wheel, tmp_path):
    site, work = tmp_path / "site", tmp_path / "work"
    work.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    code = "import app.cli, sys; sys.stderr.write(app.__file__); app.cli.main()"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, "train", "--help"],
        cwd=work,
        env={**os.environ, "PYTHONPATH": str(site), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
    )
    assert done.stderr == str(site / "app" / "__init__.py")
    assert "--config" in done.stdout
