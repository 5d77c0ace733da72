import json
from hashlib import sha256

import torch

from app.commands.backbone_records import provenance, said, write


def test_record_does_not_name_folders_of_this_machine():
    assert said(["evaluate", "--data", "/home/me/set.npz", "--out", "out/x"]) == [
        "shapespace", "evaluate", "--data", "set.npz", "--out", "out/x",
    ]  # fmt: skip


def test_provenance_names_data_command_and_versions(tmp_path, monkeypatch):
    (tmp_path / "set.npz").write_bytes(b"chains")
    monkeypatch.setattr("sys.argv", ["anything", "evaluate", "backbones"])
    monkeypatch.setattr("app.commands.backbone_records._PACKAGES", ("numpy", "no-such-package"))
    found = provenance(tmp_path / "set.npz", torch.device("cpu"))
    assert found["data"] == {"file": "set.npz", "sha256": sha256(b"chains").hexdigest()}
    assert found["command"] == ["shapespace", "evaluate", "backbones"] and found["machine"]["device"] == "cpu"
    assert found["versions"]["no-such-package"] == "missing" and found["versions"]["numpy"][0].isdigit()


def test_record_and_page_are_written_into_a_new_folder(tmp_path, capsys):
    write("one", {"a": 1}, "# Page", tmp_path / "new")
    assert json.loads((tmp_path / "new" / "one.json").read_text()) == {"a": 1}
    assert (tmp_path / "new" / "one.md").read_text() == "# Page"
    assert "one.json and one.md" in capsys.readouterr().err
