import pytest

from models.experiments.tables import differences, table, to_markdown

NAN = float("nan")
RUNS = {
    "one": [{"a": [1.0, 3.0], "b": [5.0, NAN]}, {"a": [2.0, 4.0], "b": [7.0, 9.0]}],
    "two": [{"a": [0.0, 0.0], "b": [NAN, NAN]}, {"a": [1.0, 1.0], "b": [NAN, 1.0]}],
}


def test_cell_is_the_mean_over_molecules_of_the_mean_over_seeds():
    found = table("T", RUNS)
    assert found["columns"] == ["a", "b"]
    cell = found["rows"][0]["cells"][0]
    assert (cell["mean"], cell["seeds"], cell["count"]) == (2.5, [2.0, 3.0], 2)
    assert 1.5 <= cell["low"] < 2.5 < cell["high"] <= 3.5


def test_molecule_without_a_value_is_left_out():
    one, two = (row["cells"][1] for row in table("T", RUNS)["rows"])
    assert (one["mean"], one["count"]) == (6.0, 1)
    assert two is None


def test_rows_choose_molecules():
    cell = table("T", RUNS, rows=[1])["rows"][0]["cells"][0]
    assert (cell["mean"], cell["seeds"]) == (3.5, [3.0, 4.0])


def test_difference_is_of_the_same_seed_and_molecule():
    found = differences(RUNS, "two")
    assert list(found) == ["one"]
    assert found["one"][0]["a"] == [1.0, 3.0]
    assert found["one"][1]["b"][1] == 8.0


@pytest.mark.parametrize("seeds", [1, 2])
def test_page_shows_every_number(seeds):
    runs = {name: values[:seeds] for name, values in RUNS.items()}
    record = {
        "date": "today", "command": ["shapespace", "experiment"], "versions": {"torch": "2"}, "machine": {"cores": 2},
        "data": {"kept": 3}, "held_out": {"errors": 1}, "rules": ["A rule."],
        "arms": {"titles": ["arm", "steps"], "lines": [["one", "7"]]},
        "tables": [table("First", runs, "A note."), table("Second", runs)],
    }  # fmt: skip
    page = to_markdown(record)
    for words in (
        "- date: today",
        "`shapespace experiment`",
        "torch 2",
        "| one | 7 |",
        "## First\n\nA note.",
        "- A rule.",
    ):
        assert words in page
    assert ("(2 / 3)" in page) == (seeds == 2)
    assert f"| two | {'0.5 [0.5, 0.5] (0 / 1)' if seeds == 2 else '0 [0, 0]'} | - |" in page
