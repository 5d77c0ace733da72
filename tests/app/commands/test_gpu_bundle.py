import json
import os
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from app import __version__
from app.commands.gpu_bundle import MEGABYTE, run, take_back, tar_size, write_tars
from app.commands.train import run as train
from models.data.datasets import ReferenceMolecule
from models.data.features import PAIR_SIZES, TOKEN_SIZES
from models.data.packing import load_packed, pack, save_packed
from models.errors import DataError
from models.networks.denoiser import DenoiserConfig
from models.training.config import TrainConfig, to_json

ROOT = Path(__file__).parents[3]


def reference(smiles):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert rdDistGeom.EmbedMolecule(mol, randomSeed=1) == 0
    numbers = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()], dtype=np.uint8)
    return ReferenceMolecule(smiles, numbers, mol.GetConformer().GetPositions()[None])


@pytest.fixture(scope="module")
def config():
    network = DenoiserConfig(TOKEN_SIZES, PAIR_SIZES, channels=16, heads=2, layers=1, pair_channels=8, radial=4)
    return TrainConfig(network=network, tokens_per_step=16, compile=False, half="off", budget_s=0.2, bucket_sizes=(8,))


@pytest.fixture(scope="module")
def trained(tmp_path_factory, config):
    """A run with a checkpoint; not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    folder.mkdir()
    blocks, _ = pack([reference("CC"), reference("CO")], (), config.bucket_sizes, processes=1)
    save_packed(folder / "packed.npz", blocks)
    path = folder.with_name("config.json")
    path.write_text(to_json(config))
    train(path, [], [], folder, None, "cpu", 0)
    return folder


@pytest.fixture
def home(trained, tmp_path):
    """A copy of that run."""
    folder = tmp_path / "home"
    subprocess.run(["cp", "-r", trained, folder], check=True)
    return folder


def fake_download(requirements, python, folder):
    """A wheel for each requirement, with a module that says where it came from."""
    for requirement in requirements:
        name, version = requirement.split("==")
        path = folder / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as wheel:
            wheel.writestr(f"{name}/__init__.py", f"python = {python!r}")


def progress(folder):
    return json.loads((folder / "checkpoint" / "progress.json").read_text())


def step(folder):
    return progress(folder)["step"]


def test_bundle_holds_code_run_and_wheels(trained, tmp_path):
    out = tmp_path / "bundle"
    (tar,) = run(trained, out, have=["NumPy"], python="3.12", fetch=fake_download)
    about = json.loads((out / "manifest.json").read_text())
    assert about["step"] == step(trained)
    assert about["version"] == __version__
    assert set(about["wheels"]) >= {"safetensors", "typer", "pydantic", "rich"}
    assert not set(about["wheels"]) & {"numpy", "torch", "sympy", "typing_extensions", "app", "models", "fastapi"}
    assert (out / "code" / "app" / "cli.py").read_bytes() == (ROOT / "app" / "cli.py").read_bytes()
    assert (out / "code" / "models" / "data" / "datasets.py").is_file()
    assert (out / "code" / "weights" / "configs" / "molecules-small.json").is_file()
    assert not list(out.rglob("__pycache__"))
    with tarfile.open(tar) as archive:
        names = {name.removeprefix("bundle/") for name in archive.getnames()}
    assert names == {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()}
    assert names - {"manifest.json"} == set(about["files"])
    assert tar.stat().st_size <= tar_size(p for p in out.rglob("*") if p.is_file())


@pytest.mark.parametrize("missing", ["config.json", "packed.npz"])
def test_run_that_is_not_ready_is_refused(home, tmp_path, missing):
    (home / missing).unlink()
    with pytest.raises(DataError, match=missing):
        run(home, tmp_path / "bundle", have=["all"])


def test_run_without_a_checkpoint_begins_at_the_start(home, tmp_path):
    subprocess.run(["rm", "-r", home / "checkpoint"], check=True)
    run(home, tmp_path / "bundle", have=["all"])
    assert json.loads((tmp_path / "bundle" / "manifest.json").read_text())["step"] is None


def test_checkpoint_that_is_never_whole_is_refused(home, tmp_path):
    (home / "checkpoint").rename(home / "checkpoint.old")
    with pytest.raises(DataError, match="left so by a kill"):
        run(home, tmp_path / "bundle", have=["all"])


def test_only_an_earlier_bundle_is_overwritten(trained, tmp_path):
    out = tmp_path / "bundle"
    for _ in range(2):
        run(trained, out, have=["all"])
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "file").touch()
    with pytest.raises(DataError, match="no earlier bundle"):
        run(trained, tmp_path / "own", have=["all"])
    assert (tmp_path / "own" / "file").exists()


@pytest.fixture
def heavy(tmp_path):
    """A folder of 5 MB in all, 2 + 2 + 1."""
    folder = tmp_path / "heavy"
    (folder / "run").mkdir(parents=True)
    for name, size in (("a", 2), ("run/b", 2), ("c", 1)):
        (folder / name).write_bytes(bytes(size * MEGABYTE))
    return folder


def test_bundle_above_the_limit_is_refused_and_names_its_largest_parts(heavy):
    with pytest.raises(DataError, match=r"5\.0 MB, the limit is 4 MB; largest: a 2\.0 MB, run/b 2\.0 MB, c 1\.0 MB"):
        write_tars(heavy, 4 * MEGABYTE, split=False)


def test_parts_stay_below_the_limit_and_hold_every_file_once(heavy, tmp_path):
    (tmp_path / "heavy-7.tar").touch()
    tars = write_tars(heavy, int(3.1 * MEGABYTE), split=True)
    assert [tar.name for tar in tars] == ["heavy-1.tar", "heavy-2.tar"]
    assert not (tmp_path / "heavy-7.tar").exists()
    assert all(tar.stat().st_size <= 3.1 * MEGABYTE for tar in tars)
    names = []
    for tar in tars:
        with tarfile.open(tar) as archive:
            names += archive.getnames()
    assert sorted(names) == ["heavy/a", "heavy/c", "heavy/run/b"]


def test_file_that_fits_no_part_is_refused(heavy):
    with pytest.raises(DataError, match=r"a 2\.0 MB alone is above the limit of 1\.5 MB"):
        write_tars(heavy, int(1.5 * MEGABYTE), split=True)


def test_large_bundle_is_compressed_harder_and_stays_readable(trained, tmp_path):
    tars = run(trained, tmp_path / "bundle", have=["all"], limit_mb=0.3, split=True)
    assert len(tars) > 1
    squeezed = tmp_path / "bundle" / "run" / "packed.npz"
    with zipfile.ZipFile(squeezed) as archive:
        assert {member.compress_type for member in archive.infolist()} == {zipfile.ZIP_LZMA}
    for before, after in zip(load_packed(trained / "packed.npz"), load_packed(squeezed), strict=True):
        for field in fields(before):
            np.testing.assert_array_equal(getattr(after, field.name), getattr(before, field.name))


def start(bundle, out, *options, **environment):
    values = {"PYTHON": sys.executable, "DEVICE": "cpu", "OUT": str(out), **environment}
    command = ["bash", str(bundle / "run.sh"), *options]
    return subprocess.run(command, env={**os.environ, **values}, capture_output=True, text=True)


def add_wheel(bundle, module):
    """Name a module in the manifest that this Python surely lacks, and put its wheel into the bundle."""
    (bundle / "wheels").mkdir(exist_ok=True)
    path = bundle / "wheels" / f"{module}-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{module}/__init__.py", "")
    about = json.loads((bundle / "manifest.json").read_text())
    about["wheels"] = {"numpy": "none.whl", module: path.name}
    (bundle / "manifest.json").write_text(json.dumps(about))


def test_bundle_goes_on_from_its_checkpoint_and_comes_back(home, tmp_path):
    (tar,) = run(home, tmp_path / "bundle", have=["all"])
    there = tmp_path / "there"
    with tarfile.open(tar) as archive:
        archive.extractall(there, filter="data")
    add_wheel(there / "bundle", "lacking")
    budget_s = progress(home)["elapsed_s"] + 0.01  # time for one more step, however slow
    done = start(there / "bundle", tmp_path / "out", "600", "--budget-s", str(budget_s))
    assert done.returncode == 0, done.stderr
    assert f'before: {{"step": {step(home)},' in done.stdout
    assert [p.name for p in (there / "bundle" / "site").iterdir()] == ["lacking"]
    assert step(tmp_path / "out") > step(home)
    take_back(tmp_path / "out", home)
    assert step(home) == step(tmp_path / "out")
    assert sorted(p.name for p in home.iterdir()) == sorted(p.name for p in (there / "bundle" / "run").iterdir())
    with pytest.raises(DataError, match="nothing to take"):
        take_back(tmp_path / "out", home)


@pytest.mark.slow
def test_piece_that_runs_out_of_time_saves_its_checkpoint(home, tmp_path):
    run(home, tmp_path / "bundle", have=["all"])
    done = start(tmp_path / "bundle", tmp_path / "out", "60", "--budget-s", "1000")
    assert done.returncode == 0, done.stderr
    assert step(tmp_path / "out") > step(home)


def test_bundle_that_lost_a_file_does_not_start(home, tmp_path):
    run(home, tmp_path / "bundle", have=["all"])
    (tmp_path / "bundle" / "run" / "packed.npz").write_bytes(b"")
    done = start(tmp_path / "bundle", tmp_path / "out")
    assert done.returncode == 1
    assert "missing or cut short: run/packed.npz" in done.stderr


def test_wheel_for_another_python_is_refused(home, tmp_path):
    run(home, tmp_path / "bundle", have=["all"], python="2.7")
    add_wheel(tmp_path / "bundle", "lacking")
    done = start(tmp_path / "bundle", tmp_path / "out")
    assert done.returncode == 1
    assert "lacking is missing and its wheel is for Python 2.7" in done.stderr


def test_checkpoint_of_another_run_is_not_taken(trained, home, config, tmp_path):
    (home / "config.json").write_text(to_json(replace(config, seed=1)))
    with pytest.raises(DataError, match="another configuration"):
        take_back(trained, home)
    with pytest.raises(DataError, match=r"no checkpoint/progress\.json"):
        take_back(tmp_path, home)
