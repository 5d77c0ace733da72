import csv
import io
import json
import zipfile
from dataclasses import asdict

import numpy as np
import pytest

from models.backbone import BackboneEnsemble
from models.export.backbone_archive import to_backbone_zip
from models.export.backbone_formats import BACKBONE_FORMATS


def opened(content):
    archive = zipfile.ZipFile(io.BytesIO(content))
    assert archive.testzip() is None
    return archive


@pytest.mark.parametrize("name", BACKBONE_FORMATS)
def test_archive_holds_a_file_per_sample_a_table_and_a_manifest(sampled, name):
    file_format = BACKBONE_FORMATS[name]
    empty = BackboneEnsemble(1, "none", 64, (), "clash", "every draw failed")
    ensembles = [sampled(20, 2, "one"), empty, sampled(12, 1, "../x")]
    b = [np.ones((2, 20)), np.zeros((0, 64)), np.ones((1, 12))]
    archive = opened(to_backbone_zip(ensembles, "m", file_format, {"model": "m"}, "GLY", b))
    names = [f"{stem}.{file_format.extension}" for stem in ("0000_one_0000", "0000_one_0001", "0002____x_0000")]
    assert archive.namelist() == [*names, "quality.csv", "manifest.json"]
    second = ensembles[0].samples[1]
    alone = BackboneEnsemble(0, "one", 20, (second,), None, "")
    assert archive.read(names[1]) == file_format.write([alone], "m", "GLY", [np.ones((1, 20))])
    rows = list(csv.DictReader(io.StringIO(archive.read("quality.csv").decode())))
    assert [row["file"] for row in rows] == names
    assert [row["seed"] for row in rows] == ["100", "101", "100"]
    assert rows[1].items() >= {k: str(v) for k, v in asdict(second.quality).items() if v is not None}.items()
    manifest = json.loads(archive.read("manifest.json"))
    assert manifest["model"] == "m"
    keys = ("id", "length", "status", "reason", "detail", "files")
    assert [tuple(entry[key] for key in keys) for entry in manifest["lengths"]] == [
        ("one", 20, "ok", None, "", names[:2]),
        ("none", 64, "failed", "clash", "every draw failed", []),
        ("../x", 12, "ok", None, "", names[2:]),
    ]


def test_same_backbones_give_the_same_bytes(sampled, monkeypatch):
    first = to_backbone_zip([sampled(20)], "m", BACKBONE_FORMATS["pdb"], {})
    monkeypatch.setattr("time.time", lambda: 2e9)
    assert to_backbone_zip([sampled(20)], "m", BACKBONE_FORMATS["pdb"], {}) == first
