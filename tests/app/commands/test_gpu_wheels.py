import pytest

from app.commands.gpu_wheels import download, normal
from models.errors import DataError


def test_failed_download_names_the_package(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(DataError, match=r"could not download the wheels.*surely-not-there==1"):
        download(["surely-not-there==1"], "3.12", tmp_path)


def test_names_compare_as_package_indexes_compare_them():
    assert normal("Typing_Extensions") == normal("typing.extensions") == "typing-extensions"
