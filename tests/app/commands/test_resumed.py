import json
from pathlib import Path

import pytest

from app.commands.resumed import pin, plain, write_json
from models.errors import DataError


def test_folder_keeps_its_settings(tmp_path):
    folder = tmp_path / "new" / "work"
    settings = {"plan": {"steps": 3, "seed": 1}}
    for _ in range(2):
        pin(settings, folder, "an experiment", "--out")
    with pytest.raises(DataError, match="holds an experiment with another steps; choose another --out"):
        pin({"plan": {"steps": 4, "seed": 1}}, folder, "an experiment", "--out")
    assert json.loads((folder / "settings.json").read_text()) == settings


def test_record_is_there_whole_or_not_at_all(tmp_path):
    path = tmp_path / "row.json"
    write_json(path, {"a": (1, float("nan"))})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": [1, None]}


def test_plain_values_are_json():
    assert plain({"path": Path("a/b.npz"), "x": (1 / 3, [2])}) == {"path": "b.npz", "x": [0.3333333, [2]]}
