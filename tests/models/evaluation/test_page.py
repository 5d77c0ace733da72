import json

from models.evaluation.baseline import EMBEDDED, RELAXED
from models.evaluation.page import summarise_set, to_page


def cells(page, title, name):
    """Cells of the row `name` in the table that has the column `title`, by column."""
    lines = page.splitlines()
    head = next(k for k, line in enumerate(lines) if line.startswith("| |") and title in line)
    found = next(line for line in lines[head:] if line.startswith(f"| {name} |"))
    return dict(zip(*([part.strip() for part in line.split("|")[2:-1]] for line in (lines[head], found)), strict=True))


def test_quality_is_that_of_the_distances(benchmark_record):
    found = cells(to_page(benchmark_record), "COV-R < 0.5 Å", EMBEDDED)
    assert found["COV-R < 0.5 Å, %"].startswith("75.0 (75.0) [")  # half of the first molecule, all of the second
    assert found["AMR-R, Å"] == found["AMR-P, Å"] == "0.400 (0.400) [0.400, 0.400]"
    assert found["COV-P < 0.15 Å, %"].startswith("0.0 ")


def test_molecule_without_samples_halves_coverage_and_leaves_matching(benchmark_record):
    page = to_page(benchmark_record)
    found = cells(page, "COV-R < 0.5 Å", "from noise, 5 steps")
    assert found["COV-R < 0.5 Å, %"].startswith("50.0 (50.0) [")
    assert found["AMR-R, Å"] == "0.100 (0.100) [0.100, 0.100]"
    assert "- from noise, 5 steps: faults of first draws: 2 clash; molecules without samples: 1 clash." in page


def test_first_draws_and_time_of_a_conformer(benchmark_record):
    page = to_page(benchmark_record)
    found = cells(page, "core-s per conformer", "from noise, 5 steps")
    assert found["samples"] == "4" and found["molecules without samples"] == "1"
    assert found["first draws valid, %"] == "66.7" and found["first draws with right stereo, %"] == "75.0"
    assert found["s per conformer"] == "0.7500" and found["core-s per conformer"] == "1.5000"
    assert found[f"core-s over those of {RELAXED}"] == "2.50"  # 1.5 over 2.4 / 4
    assert cells(page, "core-s per conformer", RELAXED)[f"core-s over those of {RELAXED}"] == "1.00"
    assert cells(page, "core-s per conformer", EMBEDDED)["first draws with right stereo, %"] == "-"


def test_differences_are_taken_molecule_by_molecule(benchmark_record):
    page = to_page(benchmark_record)
    after = page.split(f"Difference from {EMBEDDED}:")[1].split(f"Difference from {RELAXED}:")
    raw = cells(after[0], "COV-R, points", "from ETKDG, 10 steps")
    assert raw["COV-R, points"].startswith("+25.0 [+0.0, ")
    assert raw["AMR-R, Å"].startswith("-0.250 [-0.300, -0.200")
    # The second molecule has no sample in the other row: a miss in COV, left out of AMR.
    relaxed = cells(after[1], "COV-R, points", "from ETKDG, 10 steps")
    assert relaxed["COV-R, points"].startswith("+75.0 [+50.0, ")
    assert relaxed["AMR-R, Å"] == "-0.200 [-0.200, -0.200]"
    assert f"| {EMBEDDED} |" not in after[0] and f"| {RELAXED} |" in after[0]


def test_page_says_how_it_was_made(benchmark_record):
    page = to_page(benchmark_record)
    for words in (
        "`shapespace compare --title 'Small molecules'`", "2026-01-", "name tiny, sha256 fed", "cpu a processor",
        "paths begin: from ETKDG at t = 0.8",
        "`small.npz` (SHA-256 `abc`): 2 of 5 molecules, 7.5 atoms on average, 3 references",
        "](benchmarks.json)", "![Quality against time](benchmarks.png)", *benchmark_record["rules"],
    ):  # fmt: skip
        assert words in page, words
    assert "nan" not in page and "None" not in page


def test_published_rows_are_marked(benchmark_record):
    page = to_page(benchmark_record)
    marked = page.index("Published, on other molecules and other machines, not measured here (Elsewhere):")
    assert marked < page.index("| Theirs | 99.9 |") < page.index("They say so.")
    benchmark_record["sets"][0]["published"] = None
    assert "Published" not in to_page(benchmark_record)


def test_page_is_made_from_json_alone(benchmark_record):
    before = json.dumps(benchmark_record, allow_nan=False)
    page = to_page(json.loads(before))
    assert page == to_page(benchmark_record)
    assert json.dumps(benchmark_record) == before


def test_every_table_has_one_width(benchmark_record):
    for block in to_page(benchmark_record).split("\n\n"):
        assert len({line.count("|") for line in block.splitlines() if line.startswith("|")}) <= 1


def test_row_without_any_sample_has_no_time(benchmark_record):
    one = benchmark_record["sets"][0]
    noise = one["rows"][2]
    noise["molecules"][0] = {**noise["molecules"][1], "recall_ang": [None, None], "requested": 4}
    assert summarise_set(one)[2]["core_seconds_per_conformer"] is None
    assert cells(to_page(benchmark_record), "core-s per conformer", noise["name"])["s per conformer"] == "-"
