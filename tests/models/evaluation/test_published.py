import re

import pytest

from models.evaluation.published import PUBLISHED

NUMBER = re.compile(r"\d+\.?\d*")


@pytest.mark.parametrize("threshold", PUBLISHED)
def test_rows_have_a_cell_for_each_title_and_values_in_range(threshold):
    table = PUBLISHED[threshold]
    assert f"threshold {threshold:g} Å" in table.title
    for name, *cells in table.rows:
        assert len(cells) == len(table.titles), name
        for title, cell in zip(table.titles, cells, strict=True):
            values = [float(word) for word in NUMBER.findall(cell)]
            if title.startswith("COV"):
                assert values and all(25 < value <= 100 for value in values), (name, title)
            if title.startswith("AMR"):
                assert values and all(0 < value < 1.1 for value in values), (name, title)


@pytest.mark.parametrize("threshold", PUBLISHED)
def test_methods_are_named_once(threshold):
    names = [row[0] for row in PUBLISHED[threshold].rows]
    assert len(set(names)) == len(names)
