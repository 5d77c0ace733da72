import re
from datetime import date
from pathlib import Path

from app import __version__

HEADING = re.compile(r"^## \[?(\d+\.\d+\.\d+)\]? - (\d{4}-\d\d-\d\d)$", re.MULTILINE)


def test_newest_version_is_the_package_version():
    headings = HEADING.findall((Path(__file__).parents[1] / "CHANGELOG.md").read_text(encoding="utf-8"))
    assert headings[0][0] == __version__


def test_versions_are_listed_newest_first():
    headings = HEADING.findall((Path(__file__).parents[1] / "CHANGELOG.md").read_text(encoding="utf-8"))
    order = [(tuple(map(int, version.split("."))), date.fromisoformat(day)) for version, day in headings]
    assert order == sorted(order, reverse=True)
