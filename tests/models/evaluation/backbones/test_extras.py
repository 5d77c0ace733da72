import pytest

from models.errors import DataError
from models.evaluation.backbones.extras import load_extra


def test_missing_package_is_named_with_its_command(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pydssp", None)
    with pytest.raises(DataError, match=r"package pydssp .*pip install pydssp"):
        load_extra("pydssp")
    with pytest.raises(DataError, match="no_such_package"):
        load_extra("no_such_package.part")


def test_present_package_is_imported():
    assert load_extra("math").pi > 3
