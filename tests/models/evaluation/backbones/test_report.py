import json

import numpy as np
import pytest

from models.evaluation.backbones.chains import Group
from models.evaluation.backbones.figure import draw_backbone_figure
from models.evaluation.backbones.report import backbones_to_markdown, build_backbone_record
from models.evaluation.backbones.rows import NATIVES, SAMPLES
from models.evaluation.backbones.run import BackboneConfig, evaluate_backbones


@pytest.fixture(scope="module")
def record(split_chains, some):
    config = BackboneConfig(edges=(56, 72, 90), max_compared=2, max_searched=0, core_only=False)
    broken = np.full((75, 4, 3), np.inf)
    found = evaluate_backbones(Group(SAMPLES, (*some.only([1, 1, 0, 0, 0, 1]).chains, broken)), split_chains, config)
    return build_backbone_record(found, {"date": "2026-01-01", "samples": {"from": "here", "number": 4}})


def test_record_survives_json_and_gives_the_same_page(record):
    again = json.loads(json.dumps(record, allow_nan=False))
    assert backbones_to_markdown(again) == backbones_to_markdown({**record, "bins": again["bins"]})
    assert again["format"] == 1 and again["bins"][0]["rows"][0]["name"] == SAMPLES


def test_tables_have_every_row_and_one_width(record):
    page = backbones_to_markdown(record)
    for words in ("56 to 71 residues", "72 to 89 residues", "All lengths together", "JSD to validation", "mean TM",
                  "1 not_finite", "from here", "How it was measured"):  # fmt: skip
        assert words in page
    assert "novel, %" not in page and "nan" not in page and "None" not in page
    for block in page.split("\n\n"):
        assert len({line.count("|") for line in block.splitlines() if line.startswith("|")}) <= 1


def test_studies_that_were_asked_for_have_their_tables(record):
    bins = json.loads(json.dumps(record["bins"]))
    figures = {"mean": 0.5, "low": 0.4, "high": 0.6}
    bins[0]["rows"][0] |= {
        "proxy": {"chains": 3, "sound": 2, "nll": figures, "limit": 1.25, "within": figures},
        "classes": {
            "chains": 3,
            "shares": dict.fromkeys("abcdefg", 1 / 7),
            "divergence": [0.1, 0.0, 0.2],
            "frechet": 8.0,
        },
    }
    card = {"trained_on": 9, "held_out": 4, "accuracy": 0.75, "balanced": None, "majority": 0.5}
    page = backbones_to_markdown({**record, "bins": bins, "classifier": card})
    assert "| samples | 3 | 2 | 0.500 [0.400, 0.600] | 1.250 | 50.0 [40.0, 60.0] |" in page
    assert "| samples | 3 | 14 / 14 / 14 / 14 | 0.100 [0.000, 0.200] | 8.0 |" in page
    assert "trained on 9 chains, held out 4: accuracy 75.0 %, balanced - %, majority 50.0 %." in page


def test_cells_are_percent_with_an_interval(record):
    samples = record["bins"][0]["rows"][0]
    cell = f"{100 * samples['ca_step_share']['mean']:.2f} [{100 * samples['ca_step_share']['low']:.2f}, "
    assert cell in backbones_to_markdown(record)


def test_picture_has_a_line_of_panels_for_each_bin(record):
    figure = draw_backbone_figure(record)
    assert len(figure.axes) == 10
    assert figure.axes[0].get_title(loc="left") == "56 to 71 residues: samples"
    assert figure.axes[1].get_title(loc="left") == NATIVES
    assert figure.legends[0].get_texts()[0].get_text() == SAMPLES
    shares = figure.axes[4].lines[1].get_ydata()
    assert np.sum(shares) == pytest.approx(1)
    figure.canvas.draw()
