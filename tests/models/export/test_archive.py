import io
import json
import zipfile
from pathlib import PurePosixPath, PureWindowsPath

import pytest

from models.export.archive import file_stem, to_zip
from models.export.formats import FORMATS
from models.structure import Ensemble

HOSTILE = [
    "../../etc/passwd", "C:\\Windows\\x", "a/b", "a\nb", "$$$$", "", "..", "~", "con", "é", "A" * 500, "a\x00b", "a:b",
]  # fmt: skip


def opened(content):
    archive = zipfile.ZipFile(io.BytesIO(content))
    assert archive.testzip() is None
    return archive


@pytest.mark.parametrize("name", FORMATS)
def test_archive_holds_a_file_per_molecule_and_a_manifest(ensemble_of, name):
    file_format = FORMATS[name]
    ensembles = [ensemble_of("CCO", "one"), ensemble_of("CF", "two", 1)]
    archive = opened(to_zip(ensembles, "m", file_format, {"model": "m", "version": "1"}))
    names = [f"0000_one.{file_format.extension}", f"0001_two.{file_format.extension}"]
    assert archive.namelist() == [*names, "manifest.json"]
    for path, ensemble in zip(names, ensembles, strict=True):
        assert archive.read(path).decode() == file_format.write([ensemble], "m")
    assert json.loads(archive.read("manifest.json")) == {
        "model": "m",
        "version": "1",
        "files": [
            {"id": "one", "file": names[0], "conformers": 2},
            {"id": "two", "file": names[1], "conformers": 1},
        ],
    }


def test_same_ensembles_give_the_same_bytes(ensemble_of, monkeypatch):
    ensembles = [ensemble_of("CCO", "one")]
    first = to_zip(ensembles, "m", FORMATS["sdf"], {})
    monkeypatch.setattr("time.time", lambda: 2e9)
    assert to_zip(ensembles, "m", FORMATS["sdf"], {}) == first
    assert {info.date_time for info in opened(first).infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_molecule_without_conformers_is_in_the_manifest_only(ensemble_of):
    empty = Ensemble(ensemble_of("CCO", "none").molecule, 3, (), (), 5, 0)
    archive = opened(to_zip([empty, ensemble_of("CF", "some", 1)], "m", FORMATS["sdf"], {}))
    assert archive.namelist() == ["0001_some.sdf", "manifest.json"]
    assert json.loads(archive.read("manifest.json"))["files"][0] == {"id": "none", "file": None, "conformers": 0}


def test_hostile_ids_stay_in_their_folder_and_apart(ensemble_of):
    ensembles = [ensemble_of("C", name, 1) for name in (*HOSTILE, *HOSTILE)]
    archive = opened(to_zip(ensembles, "m", FORMATS["sdf"], {}))
    names = archive.namelist()
    assert len(set(names)) == len(names) == 2 * len(HOSTILE) + 1
    for name in names:
        assert PurePosixPath(name).name == PureWindowsPath(name).name == name
        assert name.isascii()
        assert len(name) < 60
    files = json.loads(archive.read("manifest.json"))["files"]
    assert [f["id"] for f in files] == HOSTILE * 2
    assert [f["file"] for f in files] == names[:-1]


@pytest.mark.parametrize("name", HOSTILE)
def test_file_stem_has_safe_characters_only(name):
    stem = file_stem(name)
    assert stem
    assert len(stem) <= 40
    assert set(stem) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


def test_file_stem_keeps_a_plain_name():
    assert file_stem("ligand-12_a") == "ligand-12_a"
