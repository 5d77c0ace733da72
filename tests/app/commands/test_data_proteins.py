import gzip
import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from models.backbone import Backbone, BackboneEnsemble
from models.data.backbones import TRAIN, read_backbones
from models.data.report import report_backbones
from models.export.backbones import to_bcif, to_mmcif, to_pdb

ROOT = Path(__file__).parents[3]
COUNT = 9


@pytest.fixture(scope="module")
def natural():
    return read_backbones(ROOT / "tests" / "files" / "backbones.npz")


@pytest.fixture(scope="module")
def original(natural, tmp_path_factory):
    place = tmp_path_factory.mktemp("original") / "structures"
    (place / "sub").mkdir(parents=True)
    writers = (("pdb", to_pdb), ("cif", to_mmcif), ("bcif", to_bcif))
    report = report_backbones(natural.chain(0)[None])[0]
    for number in range(COUNT):
        x = natural.chain(number)
        suffix, write = writers[number % 3]
        content = write([BackboneEnsemble(0, "x", len(x), (Backbone(0, x, report, 1, None),), None, "")], "m")
        binary = content if isinstance(content, bytes) else content.encode()
        (place / f"{natural.keys[number]}.{suffix}").write_bytes(binary)
        if number == 0:
            (place / "sub" / "copy.pdb.gz").write_bytes(gzip.compress(binary))
    return place


@pytest.fixture
def folder(original, tmp_path):
    """Nine chains as files of all kinds, one of them twice."""
    return shutil.copytree(original, tmp_path / "structures")


@pytest.fixture
def call(monkeypatch, shapespace):
    """`shapespace data proteins`: exit code and what was said."""
    monkeypatch.setenv("COLUMNS", "500")
    return lambda *words: shapespace("data", "proteins", *words)[::2]


@pytest.mark.parametrize("processes", [1, 2])
def test_folder_becomes_a_set(call, folder, natural, tmp_path, monkeypatch, processes):
    monkeypatch.setattr("app.commands.data_proteins._FILES_PER_PROCESS", 1)
    out = tmp_path / "set.npz"
    code, said = call(folder, "-o", out, "--processes", processes, "--test", ".2", "--validation", ".1", "--seed", "1")
    assert code == 0, said
    made = read_backbones(out)
    assert sorted(made.keys) == sorted([f"{key}_A" for key in natural.keys[:COUNT]] + ["copy_A"])
    for number, key in enumerate(made.keys):
        before = 0 if key == "copy_A" else natural.keys.tolist().index(key.removesuffix("_A"))
        x = natural.chain(before)
        np.testing.assert_allclose(made.chain(number), x - x[0, 1], atol=0.0151)
    assert made.core.any() and set(made.split.tolist()) == {0, 1, 2}
    places = [made.keys.tolist().index(key) for key in ("copy_A", f"{natural.keys[0]}_A")]
    assert len({*made.cluster[places].tolist()}) == len({*made.split[places].tolist()}) == 1
    assert f"{COUNT + 1} chains of" in said and "clusters of identical sequences" in said
    assert json.loads(str(np.load(out)["about"]))["files"] == COUNT + 1


def test_what_is_left_out_is_counted_and_bad_files_are_named(call, folder, tmp_path):
    (folder / "bad.pdb").write_text("ATOM      1  CA  ALA A   1      11.000\n")
    (folder / "empty.cif").write_text("data_x\n")
    code, said = call(folder, "-o", tmp_path / "set.npz", "--min", 60, "--max", 100, "--processes", 1)
    assert code == 1
    assert "left out bad.pdb: line 1 of the PDB file ends before its coordinates" in said
    assert "left out empty.cif: the structure has no protein" in said
    lengths = read_backbones(tmp_path / "set.npz").lengths
    assert lengths.min() >= 60 and lengths.max() <= 100
    about = json.loads(str(np.load(tmp_path / "set.npz")["about"]))
    assert about["left_out"]["files"] == 2 and about["files"] == COUNT + 1
    assert len(lengths) + about["left_out"]["too_short"] + about["left_out"]["too_long"] == COUNT + 1
    assert f"{about['left_out']['too_short']} too_short" in said and "2 files" in said


def test_where_nothing_can_be_packed_the_code_is_2(call, folder, tmp_path):
    out = tmp_path / "set.npz"
    (tmp_path / "none").mkdir()
    for words, reason in (
        ((tmp_path / "none", "-o", out), "has no structure files"),
        (
            (folder, "-o", out, "--min", 250, "--processes", 1),
            "no chain of 250 to 256 residues is left of 10 files; left out: 10",
        ),
        ((folder, "-o", tmp_path / "no" / "set.npz"), "there is no folder"),
        ((folder, "-o", out, "--min", 3), "chains of 3 to 256 residues"),
        ((folder, "-o", out, "--test", 1), "together less than 1"),
    ):
        code, said = call(*words)
        assert code == 2 and reason in said, said
    assert not out.exists()


def test_set_can_be_trained_on(call, folder, tmp_path, monkeypatch):
    from app.commands import train

    out = tmp_path / "set.npz"
    assert call(folder, "-o", out, "--processes", 1, "--max", 128)[0] == 0
    config = json.loads((ROOT / "weights" / "configs" / "backbones-small.json").read_text())
    config["network"] |= {"channels": 16, "heads": 2, "layers": 1, "pair_channels": 4, "radial": 4, "expansion": 1}
    config |= {"tokens_per_step": 256, "compile": False, "core_only": False, "half": "off"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    train.run(tmp_path / "config.json", [out], [], tmp_path / "run", 0.5, "cpu", 1)
    data = json.loads((tmp_path / "run" / "data.json").read_text())
    assert data["kept"] == int((read_backbones(out).split == TRAIN).sum()) > 0
    assert (tmp_path / "run" / "checkpoint").exists()
