import csv
import io
import json
import os
import signal
import zipfile
from functools import partial

import gemmi
import numpy as np
import pytest
import torch
from biotite.structure.io.pdbx import BinaryCIFFile, get_structure

from models import paths, pipeline
from models.data.blueprints import build_blueprint
from models.options import SampleOptions
from models.weights import load_model


@pytest.fixture
def here(tmp_path, monkeypatch, tiny_weights):
    """An empty working directory and untrained weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHAPESPACE_WEIGHTS_DIR", str(tiny_weights))
    return tmp_path


@pytest.fixture
def call(here, shapespace):
    """`shapespace sample`: exit code, what was printed, and what was said."""
    return partial(shapespace, "sample")


FIGURES = {"helix": ".0%", "strand": ".0%", "rg_ratio": ".2f", "favoured": ".1%", "allowed": ".1%"}
QUICK = ("--steps", "4", "--seed", "1", "--keep-failed")


def test_folder_holds_a_file_for_each_backbone_and_a_table(call, here):
    code, printed, said = call("--length", "20", "--length", "14", "-n", "2", "-o", "out", *QUICK)
    assert code == 0, said
    assert "4 of 4 backbones, seed 1: 4 files and quality.csv in out" in said
    files = sorted(path.name for path in (here / "out").glob("*.pdb"))
    assert files == ["0000_20-1_0000.pdb", "0000_20-1_0001.pdb", "0001_14-2_0000.pdb", "0001_14-2_0001.pdb"]
    assert len(gemmi.read_structure(str(here / "out" / files[0]))[0]["A"]) == 20
    rows = list(csv.DictReader((here / "out" / "quality.csv").read_text().splitlines()))
    assert [(row["file"], row["seed"]) for row in rows] == list(zip(files, "1212", strict=True))
    manifest = json.loads((here / "out" / "manifest.json").read_text())
    assert (manifest["seed"], manifest["sampling"]["kind"], manifest["sampling"]["steps"]) == (1, "sde", 4)
    assert "HELIX" in printed
    assert printed.count("20-1") == 2
    last, means = printed.splitlines()[-1], {name: np.mean([float(row[name]) for row in rows]) for name in FIGURES}
    assert last.split()[0] == "mean" and f"{sum(row['passed'] == 'True' for row in rows)} of 4 passed" in last
    assert [f"{means[name]:{form}}" for name, form in FIGURES.items()] == last.split()[1:6]


def test_backbones_are_those_of_the_library(call, here, tiny_weights):
    words = (
        "--helix",
        ".5",
        "--fold",
        "a",
        "--secondary",
        "H" * 14,
        "--noise-scale",
        ".4",
        "--schedule",
        "quadratic",
        "--churn",
        ".1",
        "--guidance",
        "2",
    )
    assert call("--length", "14", "-n", "2", "-o", "out.bcif", "--no-idealise", *words, *QUICK)[0] == 0
    found = get_structure(BinaryCIFFile.read(io.BytesIO((here / "out.bcif").read_bytes()))).coord
    from models.data.blueprints import Wish

    blueprint = build_blueprint("x", 14, Wish(0.5, None, "a", "H" * 14), keep_failed=True, idealise=False)
    model = load_model("backbones-small", tiny_weights, torch.device("cpu"))
    options = SampleOptions(kind="sde", steps=4, noise_scale=0.4, schedule="quadratic", churn=0.1, guidance=2.0)
    (made,) = pipeline.generate(model, [blueprint], [2], [1], options)
    expected = np.stack([sample.coordinates.reshape(-1, 3) for sample in made.samples])
    np.testing.assert_allclose(found, expected, atol=5e-3)


@pytest.mark.parametrize(("out", "format_name"), [("out.cif", None), ("out.pdb", "pdb"), ("out.zip", "mmcif")])
def test_every_output_is_written(call, here, out, format_name):
    words = ("--format", format_name) if format_name else ()
    code, _, said = call("--length", "12", "-n", "1", "-o", out, "--residue", "GLY", *words, *QUICK)
    assert (code, f"1 of 1 backbones, seed 1: {out}" in said) == (0, True)
    if out.endswith(".zip"):
        names = zipfile.ZipFile(here / out).namelist()
        assert names == ["0000_12-1_0000.cif", "quality.csv", "manifest.json"]
    else:
        assert gemmi.read_structure(str(here / out))[0]["A"][0].name == "GLY"


def test_structure_gives_start_motif_and_length(call, here, chain_text):
    (here / "in.pdb").write_text(chain_text)
    words = ("--structure", "in.pdb", "--fixed", "A10-20", "--t", ".5")
    code, printed, said = call(*words, "-n", "2", "-o", "out", *QUICK)
    assert code == 0, said
    rows = list(csv.DictReader((here / "out" / "quality.csv").read_text().splitlines()))
    assert [row["length"] for row in rows] == ["30", "30"]
    assert all(float(row["motif_rmsd_ang"]) < 1e-3 for row in rows)
    manifest = json.loads((here / "out" / "manifest.json").read_text())
    assert (manifest["sampling"]["start_time"], manifest["residue"], manifest["idealise"]) == (0.5, "ALA", True)
    assert manifest["template"]["places"] == ["6-16"] and manifest["condition"]["helix"] is None
    assert "in.pdb: residues 5 to 34 of chain A were taken; fixed are 6-16 of the samples" in " ".join(said.split())
    assert "0.00" in printed


def test_motif_is_put_into_a_longer_chain(call, here, chain_text):
    (here / "in.pdb").write_text(chain_text)
    words = ("--structure", "in.pdb", "--fixed", "A10-20", "--at", "25", "--length", "40")
    code, _, said = call(*words, "-n", "1", "-o", "out.pdb", *QUICK)
    assert code == 0, said
    assert "in.pdb: A10-20 were taken; fixed are 25-35 of the samples" in " ".join(said.split())
    made, given = gemmi.read_structure(str(here / "out.pdb"))[0]["A"], gemmi.read_pdb_string(chain_text)[0]["A"]
    assert len(made) == 40
    away = [made[24 + k]["CA"][0].pos.dist(given[5 + k]["CA"][0].pos) for k in range(11)]
    assert max(away) < 5e-3


def test_backbones_of_an_earlier_call_do_not_stay_among_the_new(call, here):
    (here / "out").mkdir()
    (here / "out" / "mine.pdb").write_text("kept")
    for count in ("3", "1"):
        assert call("--length", "12", "-n", count, "-o", "out", *QUICK)[0] == 0
    names = {path.name for path in (here / "out").iterdir()}
    assert names == {"0000_12-1_0000.pdb", "quality.csv", "manifest.json", "mine.pdb"}


def test_what_fails_is_missing_and_is_code_1(call, here, monkeypatch):
    monkeypatch.setattr("models.backbone_draws.BackboneDraws.check", lambda self, paths: ["clash"] * len(paths))
    code, printed, said = call("--length", "12", "-n", "2", "-o", "out", "--steps", "1", "--seed", "1")
    assert code == 1
    assert "12-1: 2 of 2 samples are missing after 10 draws" in said
    assert "0 of 2 backbones, seed 1: no file" in said
    assert printed == ""


def test_interrupt_keeps_what_is_finished(call, here, monkeypatch):
    """The second batch is interrupted; the first is written."""
    advance, batches = paths.Paths.advance, set()

    def watched(self):
        batches.add(len(self))
        if 2 in batches:
            os.kill(os.getpid(), signal.SIGINT)
        advance(self)

    monkeypatch.setattr(paths.Paths, "advance", watched)
    monkeypatch.setattr(pipeline, "PAIR_BUDGET", 3 * 40**2)
    code, _, said = call("--length", "40", "-n", "5", "-o", "out.pdb", *QUICK)
    assert code == 1
    assert "3 of 5 backbones, seed 1: out.pdb" in said
    assert "ended before this structure was finished" in said
    assert len(gemmi.read_structure(str(here / "out.pdb"))) == 3


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--structure", "in.pdb", "-o", "out"), "no use without --t above 0 or --fixed"),
        (("--length", "20", "--fixed", "A1-5", "-o", "out"), "--t, --fixed and --chain need it"),
        (("--structure", "in.pdb", "--t", ".5", "-o", "out"), "no structure file at in.pdb"),
        (("-o", "out"), "give either molecules or --length"),
        (("CCO", "--length", "20", "-o", "out"), "give either molecules or --length"),
        (("--length", "20", "-o", "out", "--relax", "mmff94s"), "no meaning for backbones"),
        (("CCO", "-o", "out", "--helix", ".4"), "no meaning for molecules"),
        (("--length", "41", "-o", "out"), "trained on 12 to 40 residues"),
        (("--length", "20", "-o", "out", "--helix", "1.4"), "helix is 1.4; allowed: 0 to 1"),
        (("--length", "20", "-o", "out", "--residue", "TRP"), "unknown residue 'TRP'; allowed: ALA, GLY"),
        (("--length", "20", "-o", "out", "--format", "sdf"), "unknown format 'sdf'; allowed: pdb, mmcif, bcif"),
        (("--length", "20", "-o", "out.sdf"), "unknown extension '.sdf'"),
        (("--length", "20", "-o", "out", "--sampler", "odd"), "unknown sampler 'odd'"),
        (("--length", "20", "-o", "out", "--sampler", "ode", "--churn", "2"), "sampler 'ode' has no noise"),
        (("CCO", "-o", "out.sdf", "--model", "backbones-small"), "samples protein backbones, no molecules"),
        (("--length", "20", "-o", "out", "--noise-scale", "5"), "noise_scale is 5"),
        (("--length", "20", "--length", "14", "-o", "out.pdb"), "ask for a zip, or mmcif"),
        (("--length", "30000", "-o", "out"), "trained on 12 to 40 residues"),
        (("--length", "20", "--chain", "A", "-o", "out"), "--chain need it"),
        (("--length", "20", "--at", "3", "-o", "out"), "give one for each --fixed"),
        (("--structure", "in.pdb", "--fixed", "A1-5", "--at", "3", "-o", "out"), "and --length"),
        (("--structure", "in.pdb", "--t", "1", "-o", "out"), "1; allowed: 0 and above, below 1"),
        (("--length", "20", "-o", "out", "--guidance", "2"), "no use without a wish"),
        (("--length", "20", "-o", "out", "--guidance", "20", "--helix", "1"), "guidance is 20.0; allowed: 0 to 10"),
        (("CCO", "-o", "out", "--guidance", "2"), "no meaning for molecules"),
        (("--length", "20", "-o", "out", "--model", "molecules-small"), "samples no backbones"),
        (("--length", "20", "-o", "out", "--model", "odd"), "unknown model 'odd'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_tried_says_why_and_is_code_2(call, words, reason):
    code, _, said = call(*words)
    assert code == 2
    assert reason in " ".join(said.replace("│", " ").split())
    assert "Traceback" not in said
