import json
import os
import signal
import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path

import gemmi
import numpy as np
import pytest
import torch
from rdkit import Chem
from typer.main import get_command

from app.cli import cli
from app.commands import sample
from app.commands.sample import choose_target
from app.intake.pool import ChildPool
from models import pipeline
from models.data.molecule import build_molecules, read_smiles
from models.errors import FormatError
from models.export.formats import FORMATS
from models.options import DEFAULT_START, START_TIME, STARTS, STEPS, build_options
from models.structure import Conformer, Ensemble
from models.weights import load_model

COMMAND = str(Path(sys.executable).parent / "shapespace")


@pytest.fixture
def here(tmp_path, monkeypatch, weights):
    """An empty working directory and the shipped weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHAPESPACE_WEIGHTS_DIR", str(weights))
    return tmp_path


@pytest.fixture
def call(here, shapespace):
    """`shapespace sample`: exit code and what was said."""
    return lambda *words, stdin="": shapespace("sample", *words, stdin=stdin)[::2]


@pytest.fixture
def quick(monkeypatch):
    """Conformers from a grid in place of the sampler, where only the files matter."""

    def grid(model, molecules, counts, seeds, options, on_done=lambda count: None, **_):
        on_done(sum(counts))
        ensembles = []
        for molecule, count, seed in zip(molecules, counts, seeds, strict=True):
            x = np.indices((7, 7, 7)).reshape(3, -1).T[: molecule.num_atoms].astype(np.float32)
            conformers = tuple(Conformer(k, seed + k, x + k) for k in range(count))
            ensembles.append(Ensemble(molecule, count, conformers, (), count, count))
        return ensembles

    monkeypatch.setattr("models.pipeline.generate", grid)


def names(path):
    return [mol.GetProp("_Name") for mol in Chem.SDMolSupplier(str(path), removeHs=False)]


# With the trained weights.


def test_first_command_of_the_documentation_works(here, weights):
    environment = os.environ | {"SHAPESPACE_WEIGHTS_DIR": str(weights)}
    words = [COMMAND, "sample", "CCO", "-n", "10", "-o", "out.sdf", "--seed", "1"]
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "10 of 10 conformers, seed 1: out.sdf" in done.stderr
    mols = list(Chem.SDMolSupplier("out.sdf", removeHs=False))
    assert len(mols) == 10
    assert {Chem.MolToSmiles(Chem.RemoveHs(mol)) for mol in mols} == {"CCO"}
    assert [int(mol.GetProp("seed")) % 2**32 for mol in mols] == list(range(1, 11))  # a retry adds 2^32


def test_second_command_of_the_documentation_works(call, here):
    (here / "in.smi").write_text("CCO ethanol\nCO methanol\n")
    code, said = call("in.smi", "-o", "out_dir")
    manifest = json.loads((here / "out_dir" / "manifest.json").read_text())
    made = sum(result["num_returned"] for result in manifest["results"])
    assert code == (0 if made == 20 else 1)
    assert f"{made} of 20 conformers, seed {manifest['seed']}" in said
    assert sorted(p.name for p in here.glob("out_dir/*.sdf")) == ["0000_ethanol.sdf", "0001_methanol.sdf"]
    assert set(names(here / "out_dir" / "0000_ethanol.sdf")) == {"ethanol"}


def test_same_seed_gives_the_same_file(call, here):
    for out in ("a.sdf", "b.sdf"):
        call("CCO", "-n", "2", "--steps", "20", "--seed", "5", "-o", out)
    call("CCO", "-n", "2", "--steps", "20", "--seed", "6", "-o", "c.sdf")
    assert (here / "a.sdf").read_bytes() == (here / "b.sdf").read_bytes()
    assert (here / "a.sdf").read_bytes() != (here / "c.sdf").read_bytes()


def test_ensembles_are_finished_on_request(call, here):
    (here / "in.smi").write_text("CCCO propanol\nCO methanol\n")
    words = ("in.smi", "-n", "6", "--steps", "10", "--seed", "1")
    code, said = call(*words, "-o", "out.sdf", "--relax", "mmff94s", "--prune-rmsd", ".125", "--rank")
    mols = list(Chem.SDMolSupplier("out.sdf", removeHs=False))
    assert "left out (duplicate): closer than 0.125 Å" in said
    assert f"{len(mols)} of 12 conformers" in said
    assert 2 <= len(mols) < 12
    for name in ("propanol", "methanol"):
        own = [mol for mol in mols if mol.GetProp("_Name") == name]
        energies = [float(mol.GetProp("energy_kcal_mol")) for mol in own]
        assert energies == sorted(energies)
        assert float(own[0].GetProp("relative_energy_kcal_mol")) == 0.0
        assert {mol.GetProp("relaxed") for mol in own} == {"MMFF94s"}
    assert code == (1 if "missing" in said else 0)


def test_warm_start_gives_the_structures_of_the_library(call, here, weights):
    _, said = call("OCCN", "-n", "2", "--seed", "1", "--start", "etkdg", "--start-time", ".7", "-o", "out")
    (molecule,) = build_molecules(read_smiles("OCCN"), 1)
    options = build_options("etkdg", start_time=0.7)
    model = load_model("molecules-small", weights, torch.device("cpu"))
    (made,) = pipeline.generate(model, [molecule], [2], [1], options)
    assert f"{len(made.conformers)} of 2 conformers" in said
    (file,) = (here / "out").glob("*.sdf")
    mols = list(Chem.SDMolSupplier(str(file), removeHs=False))
    assert [int(mol.GetProp("seed")) for mol in mols] == [c.seed for c in made.conformers] != []
    found = [mol.GetConformer().GetPositions() for mol in mols]
    np.testing.assert_allclose(found, [c.coordinates for c in made.conformers], atol=2e-3)
    assert json.loads((here / "out" / "manifest.json").read_text())["sampling"] == options.to_values()


# With conformers from a grid.


def test_molecule_that_cannot_be_embedded_is_sampled_from_noise(call, here, sabotage):
    sabotage("CCS", partial(os._exit, 1), 60.0)
    (here / "in.smi").write_text("CCS bad\nOCCN good\n")
    code, said = call("in.smi", "-n", "2", "--seed", "1", "--start", "etkdg", "-o", "out.sdf")
    assert code == 0
    assert "bad: conformers sampled from noise" in said
    assert set(names("out.sdf")) == {"good", "bad"}


def test_options_name_the_defaults_of_each_start():
    options = {option.name: option for option in get_command(cli).commands["sample"].params}
    times = [f"{time} from {start}" for start, time in START_TIME.items() if time]
    (guessed,) = {steps for start, steps in STEPS.items() if start != "noise"}
    assert options["start"].show_default == DEFAULT_START
    assert options["start_time"].show_default == ", ".join(times)
    assert options["steps"].show_default == f"{guessed}, from noise {STEPS['noise']}"
    assert all(start in options["start"].help for start in STARTS)


def test_readings_are_only_a_portion_ahead_of_the_sampler(call, quick, here, monkeypatch):
    submitted, before = [], []
    submit, grid = ChildPool.submit, pipeline.generate

    def remember(pool, job):
        submitted.append(job.name)
        return submit(pool, job)

    def generate(*words, **more):
        before.append(len(submitted))
        return grid(*words, **more)

    monkeypatch.setattr(sample, "_MOLECULES_AT_ONCE", 2)
    monkeypatch.setattr(ChildPool, "submit", remember)
    monkeypatch.setattr(pipeline, "generate", generate)
    assert call("-", "-n", "1", "-o", "out.sdf", stdin="C\nN\nO\nCC\nCN\n")[0] == 0
    assert before == [4, 5, 5]


def test_molecule_that_cannot_be_finished_is_said_and_is_code_1(call, here, quick):
    code, said = call("CB(O)O", "-n", "2", "-o", "out", "--energies", "mmff94s", "--prune-rmsd", ".1")
    assert code == 1
    assert "2 of 2 conformers are not finished as asked (no_mmff_parameters)" in said
    assert "1 left out (duplicate)" in said
    (result,) = json.loads((here / "out" / "manifest.json").read_text())["results"]
    assert (result["num_returned"], result["num_pruned"]) == (1, 1)
    assert [p["reason"] for p in result["finish"]["problems"]] == ["no_mmff_parameters"]


def test_bad_line_fails_alone_and_says_why(call, here, quick):
    (here / "in.smi").write_text("# a comment\n\nCCO  first one\nC1CC broken\nCO\n")
    code, said = call("in.smi", "-n", "2", "-o", "out.sdf")
    assert code == 1
    assert "broken: failed (unreadable)" in said
    assert "unclosed ring" in said
    assert "4 of 6 conformers" in said
    assert names("out.sdf") == ["first one"] * 2 + ["molecule-3"] * 2


def test_nothing_readable_writes_nothing(call, here, quick):
    code, said = call("C1CC", "-o", "out.sdf")
    assert code == 1
    assert "no file" in said
    assert not (here / "out.sdf").exists()


def test_sdf_can_be_sampled(call, here, quick, files):
    text = "".join((files / name).read_text() + "$$$$\n" for name in ("alanine_wedge.mol", "labelled.mol"))
    (here / "in.sdf").write_text(text.replace("\n", "\r\n"))
    code, said = call("in.sdf", "-n", "1", "-o", "out.sdf")
    assert code == 0, said
    assert names("out.sdf") == ["L-alanine", "labelled"]
    second = list(Chem.SDMolSupplier("out.sdf", removeHs=False))[1]
    assert [a.GetAtomMapNum() for a in second.GetAtoms()][:6] == [7, 2, 3, 4, 0, 5]


def test_standard_input_can_be_sampled(call, here, quick):
    code, _ = call("-", "-n", "1", "-o", "out.sdf", stdin="CCO a\n# no\nCO b\n")
    assert code == 0
    assert names("out.sdf") == ["a", "b"]


def test_open_stereo_is_enumerated_and_said(call, here, quick):
    code, said = call("CC(F)O", "-n", "1", "-o", "out.sdf", "--stereo", "enumerate")
    assert code == 0
    assert "stereoisomer 1 of 2" in said
    assert len(names("out.sdf")) == 2
    assert "was chosen by the seed" in call("CC(F)O", "-n", "1", "-o", "out.sdf")[1]


@pytest.mark.parametrize("file_format", FORMATS)
def test_every_output_is_written(call, here, quick, file_format):
    (here / "in.smi").write_text("CCO a\nCO a\n")
    extension = FORMATS[file_format].extension
    assert call("in.smi", "-n", "2", "-o", f"new/out.{extension}", "--seed", "3")[0] == 0
    assert call("in.smi", "-n", "2", "-o", "out.zip", "--format", file_format, "--seed", "3")[0] == 0
    assert call("in.smi", "-n", "2", "-o", "folder", "--format", file_format, "--seed", "3")[0] == 0
    listed = [f"0000_a.{extension}", f"0001_a.{extension}", "manifest.json"]
    assert sorted(p.name for p in (here / "folder").iterdir()) == listed
    archive = zipfile.ZipFile(here / "out.zip")
    assert sorted(archive.namelist()) == listed
    assert archive.read(listed[0]) == (here / "folder" / listed[0]).read_bytes()
    text = (here / "new" / f"out.{extension}").read_text()
    if file_format == "mmcif":
        assert len(gemmi.cif.read_string(text)) == 2
    if file_format == "pdb":
        assert len(gemmi.read_pdb_string(text)) == 4
    if file_format == "sdf":
        assert text == "".join((here / "folder" / name).read_text() for name in listed[:2])


def test_seed_is_drawn_and_said(call, quick):
    said = [call("C", "-n", "1", "-o", "out.sdf")[1] for _ in range(2)]
    assert said[0] != said[1]
    assert "conformers, seed " in said[0]


def test_many_molecules_are_sampled_in_portions(call, quick, here, monkeypatch):
    monkeypatch.setattr(sample, "_MOLECULES_AT_ONCE", 2)
    (here / "in.smi").write_text("".join(f"{'C' * k} c{k}\n" for k in range(1, 6)))
    assert call("in.smi", "-n", "1", "-o", "out.sdf")[0] == 0
    assert names("out.sdf") == ["c1", "c2", "c3", "c4", "c5"]


def test_interrupt_keeps_what_is_finished(call, here, quick, monkeypatch):
    grid, seen = pipeline.generate, []

    def interrupted(model, molecules, counts, seeds, options, should_stop=lambda: False, **more):
        seen.append(should_stop())
        os.kill(os.getpid(), signal.SIGINT)
        seen.append(should_stop())
        return grid(model, molecules, counts, seeds, options, **more)

    monkeypatch.setattr(pipeline, "generate", interrupted)
    monkeypatch.setattr(sample, "_MOLECULES_AT_ONCE", 1)
    code, said = call("-", "-n", "1", "-o", "out.sdf", stdin="CCO a\nCO b\n")
    assert code == 1
    assert seen == [False, True]
    assert names("out.sdf") == ["a"]
    assert "1 of " in said


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("CCO", "-o", "out.sdf", "--format", "pdb"), "is sdf but --format is pdb"),
        (("CCO", "-o", "out.doc"), "unknown extension '.doc'"),
        (("CCO", "-o", "out", "--format", "doc"), "unknown format 'doc'; allowed: sdf, pdb, xyz, mmcif"),
        (("missing.smi", "-o", "out.sdf"), "no file at missing.smi"),
        (("CCO", "-o", "out.sdf", "--sampler", "magic"), "unknown sampler 'magic'"),
        (("CCO", "-o", "out.sdf", "--start", "noise", "--sampler", "sde"), "no exact score"),
        (("CCO", "-o", "out.sdf", "--schedule", "odd"), "unknown schedule 'odd'"),
        (("CCO", "-o", "out.sdf", "--start", "odd"), "unknown start 'odd'; allowed: noise, etkdg, mmff94s"),
        (
            ("CCO", "-o", "out.sdf", "--start", "etkdg", "--tries", "2"),
            "tries is 2; allowed: 1 to 32 with start 'mmff94s', else 1",
        ),
        (("CCO", "-o", "out.sdf", "--start", "noise", "--start-time", "0.5"), "paths from noise begin at 0"),
        (("CCO", "-o", "out.sdf", "--start", "etkdg", "--sampler", "sde"), "use 'ode' or 'heun', or start 'noise'"),
        (("CCO", "-o", "out.sdf", "--model", "odd"), "unknown model 'odd'"),
        (("CCO", "-o", "out.sdf", "--rank"), "rank needs energies"),
        (("CCO", "-o", "out.sdf", "--relax", "uff"), "relax is 'uff'; allowed: mmff94s"),
        (("CCO", "-o", "out.sdf", "--prune-rmsd", "-1"), "prune_rmsd is -1"),
        (("CCO", "-o", "out.sdf", "--weights", "nowhere"), "no registry.json"),
        (("CCO", "-o", "out.sdf", "--device", "nonsense"), "nonsense"),
        (("folder.smi", "-o", "out.sdf"), "folder.smi"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_tried_is_one_line_and_code_2(call, here, words, reason):
    (here / "folder.smi").mkdir()
    code, said = call(*words, "-n", "1", "--steps", "1")
    assert code == 2
    (line,) = said.strip().splitlines()
    assert line.startswith("error: ")
    assert reason in line


@pytest.mark.parametrize("out", ["file", "file/out.sdf", "file/folder"])
def test_place_that_cannot_be_written_is_one_line_and_code_2(call, here, quick, out):
    (here / "file").write_text("not a folder")
    code, said = call("CCO", "-n", "1", "-o", out)
    assert code == 2
    assert said.strip().splitlines()[-1].startswith("error: ")
    assert "Traceback" not in said


def test_empty_input_is_refused(call, here):
    (here / "in.smi").write_text("# nothing\n\n")
    code, said = call("in.smi", "-o", "out.sdf")
    assert code == 2
    assert "in.smi holds no molecule" in said


@pytest.mark.parametrize(
    ("out", "named", "kind", "file_format"),
    [
        ("a.sdf", None, "file", "sdf"),
        ("a.PDB", "pdb", "file", "pdb"),
        ("a.cif", None, "file", "mmcif"),
        ("a.mmcif", None, "file", "mmcif"),
        ("a.xyz", None, "file", "xyz"),
        ("a.zip", None, "zip", "sdf"),
        ("a.zip", "xyz", "zip", "xyz"),
        ("a", None, "folder", "sdf"),
        ("a", "mmcif", "folder", "mmcif"),
    ],
)
def test_target_follows_the_extension(out, named, kind, file_format):
    target = choose_target(Path(out), named)
    assert (target.path, target.kind, target.file_format.name) == (Path(out), kind, file_format)


def test_folder_that_exists_may_have_a_point_in_its_name(tmp_path):
    (tmp_path / "run.1").mkdir()
    assert choose_target(tmp_path / "run.1", None).kind == "folder"
    with pytest.raises(FormatError, match="unknown extension"):
        choose_target(tmp_path / "run.2", None)
