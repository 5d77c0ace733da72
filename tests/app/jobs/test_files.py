import os
import time

import pytest

from app.jobs.files import JobFiles, open_files
from app.settings import Settings, SettingsError


@pytest.fixture(params=["folder", "memory"])
def files(request, tmp_path):
    return JobFiles("memory://jobs" if request.param == "memory" else str(tmp_path / "results"), tmp_path / "answers")


def test_what_was_made_comes_back_and_goes_away(files):
    first, second = (files.write("job", 3, b"made") for _ in range(2))
    assert first != second, "nobody writes over what another has recorded"
    for name in (first, second):
        assert files.read("job", name) == b"made"
    files.drop("job", first)
    files.drop("job", first)
    with pytest.raises(OSError):
        files.read("job", first)
    (files.answers("job") / "json").touch()
    files.remove("job")
    files.remove("job")
    with pytest.raises(OSError):
        files.read("job", second)
    assert (files.answers("job") / "json").exists(), "somebody may be taking it"


def test_file_is_whole_or_not_there(tmp_path, monkeypatch):
    files = JobFiles(str(tmp_path / "results"), tmp_path / "answers")
    monkeypatch.setattr(os, "fsync", lambda number: (_ for _ in ()).throw(OSError(28, "no space left")))
    with pytest.raises(OSError, match="no space"):
        files.write("job", 0, b"made")
    assert [*(tmp_path / "results" / "job").iterdir()] == []


def test_old_answers_are_swept(tmp_path):
    files = JobFiles(str(tmp_path / "results"), tmp_path / "answers")
    files.sweep_answers(1)
    old, new, used = files.answers("old"), files.answers("new"), files.answers("used")
    for folder in (old, used):
        os.utime(folder, (time.time() - 100,) * 2)
    files.answers("used")
    files.sweep_answers(50)
    assert (old.exists(), new.exists(), used.exists()) == (False, True, True)


def test_files_are_in_the_state_folder_by_default(tmp_path):
    name = open_files(Settings(state_dir=tmp_path / "state")).write("job", 0, b"made")
    assert (tmp_path / "state" / "results" / "job" / f"{name}.npz").is_file()
    other = Settings(state_dir=tmp_path / "state", results_url=f"file://{tmp_path}/b")
    name = open_files(other).write("job", 0, b"made")
    assert (tmp_path / "b" / "job" / f"{name}.npz").is_file()


def test_place_that_cannot_be_written_is_said_at_the_start(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="RESULTS_URL"):
        open_files(Settings(state_dir=tmp_path, results_url=str(tmp_path / "file" / "results")))


def test_url_of_no_known_kind_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="RESULTS_URL"):
        open_files(Settings(state_dir=tmp_path, results_url="nonsense://x"))
