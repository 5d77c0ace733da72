import os
import time

import pytest

from app.jobs.files import JobFiles, open_files
from app.settings import Settings, SettingsError
from models.data.molecule import build_molecules, read_smiles


@pytest.fixture(params=["folder", "memory"])
def files(request, tmp_path):
    return JobFiles("memory://jobs" if request.param == "memory" else str(tmp_path / "results"), tmp_path / "answers")


@pytest.fixture
def ensemble(tools):
    return tools.draw(build_molecules(read_smiles("C[C@H](N)O", "a"), 0)[0], 3, 7)


def test_ensembles_come_back_and_go_away(files, ensemble):
    files.write("job", 3, [ensemble])
    files.write("job", 3, [ensemble])
    (again,) = files.read("job", 3)
    assert [c.seed for c in again.conformers] == [7, 8, 9]
    (files.answers("job") / "json").touch()
    files.remove("job")
    files.remove("job")
    with pytest.raises(OSError):
        files.read("job", 3)


def test_file_is_whole_or_not_there(tmp_path, ensemble, monkeypatch):
    files = JobFiles(str(tmp_path / "results"), tmp_path / "answers")
    monkeypatch.setattr(os, "fsync", lambda number: (_ for _ in ()).throw(OSError(28, "no space left")))
    with pytest.raises(OSError, match="no space"):
        files.write("job", 0, [ensemble])
    assert [*(tmp_path / "results" / "job").iterdir()] == []


def test_old_answers_are_swept(tmp_path):
    files = JobFiles(str(tmp_path / "results"), tmp_path / "answers")
    files.sweep_answers(1)
    old, new = files.answers("old"), files.answers("new")
    os.utime(old, (time.time() - 100,) * 2)
    files.sweep_answers(50)
    assert (old.exists(), new.exists()) == (False, True)


def test_files_are_in_the_state_folder_by_default(tmp_path, ensemble):
    open_files(Settings(state_dir=tmp_path / "state")).write("job", 0, [ensemble])
    assert (tmp_path / "state" / "results" / "job" / "00000.npz").is_file()
    open_files(Settings(state_dir=tmp_path / "state", results_url=f"file://{tmp_path}/b")).write("job", 0, [ensemble])
    assert (tmp_path / "b" / "job" / "00000.npz").is_file()


def test_url_of_no_known_kind_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="RESULTS_URL"):
        open_files(Settings(state_dir=tmp_path, results_url="nonsense://x"))
