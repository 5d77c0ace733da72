from models.evaluation.tables import cell, number, plain, table, text

SUMMARY = {"mean": 0.861, "median": 1.0, "low": 0.809, "high": 0.912}


def test_cell_has_mean_median_and_interval():
    assert cell(SUMMARY, 100, 1) == "86.1 (100.0) [80.9, 91.2]"
    assert cell(SUMMARY, 1, 2) == "0.86 (1.00) [0.81, 0.91]"


def test_what_is_not_known_is_a_dash():
    assert cell(None, 100, 1) == number(None, 1, 2) == "-"
    assert number(0.5, 100, 1) == "50.0"


def test_table_has_one_width_and_ends_with_an_empty_line():
    lines = table(["a", "b"], [["1", "2"], ["3", "4"]], ["first", "second"])
    assert lines[-1] == "" and lines[2] == "| first | 1 | 2 |"
    assert {line.count("|") for line in lines[:-1]} == {4}


def test_plain_values_survive_json():
    assert plain({"a": (1, float("inf")), "b": [0.12345678, "x", None]}) == {"a": [1, None], "b": [0.123457, "x", None]}
    assert text([1, "two"]) == "1 two" and text(3) == "3"
