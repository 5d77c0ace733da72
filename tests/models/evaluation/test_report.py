import json
from typing import Any

import numpy as np
import pytest

from models.data.molecule import build_molecules, read_smiles
from models.evaluation.baseline import embed
from models.evaluation.case import Case
from models.evaluation.conformers import Sampled, Score, Target, failed_score, score
from models.evaluation.curves import draw_curves
from models.evaluation.report import build_record, summarise_row, to_markdown
from models.evaluation.run import Evaluation, EvaluationConfig, Row
from models.evaluation.validity import Validity

CONFIG = EvaluationConfig(thresholds_ang=(0.1, 0.5))


def scored(recall: tuple[float, ...], precision: tuple[float, ...], **validity: Any) -> Score:
    whole = Validity(structures=len(precision), valid=len(precision), **validity)
    return Score(2 * len(recall), len(precision), recall, precision, False, whole)


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    molecule = build_molecules(read_smiles("C[C@H](F)Cl"), 0)[0]
    x, _ = embed(molecule.mol, 2, 3, 20)
    target = Target(molecule, x, 4, 5)
    cases = [Case("C[C@H](F)Cl", 2, target), Case("C(C", 3, None, "unreadable")]
    samples = np.concatenate((x, x * [-1, 1, 1], np.full_like(x[:1], np.nan)))
    row = Row("model, served", [score(Sampled(target, samples)), failed_score(6, 3, "unreadable")], 2.0)
    about = {"date": "2026-01-01", "model": {"name": "tiny"}, "settings": {"steps": 4}}
    return build_record(Evaluation(cases, [row], 0.5), CONFIG, about)


def test_summary_of_two_molecules_worked_out_by_hand() -> None:
    first = scored((0.05, 0.3), (0.05, 0.3, 0.4, 0.9), centres=4, centres_right=3, clashes=1)
    second = scored((0.7,), (0.7, 0.8))
    row = {"name": "x", "seconds": 3.0, "molecules": [vars_of(first), vars_of(second)]}
    summary = summarise_row(row, (0.1, 0.5))
    assert summary["coverage"]["0.1"]["recall"]["mean"] == pytest.approx(0.25)
    assert summary["coverage"]["0.5"]["recall"]["mean"] == pytest.approx(0.5)
    assert summary["coverage"]["0.5"]["precision"]["mean"] == pytest.approx(0.375)
    assert summary["matching_ang"]["recall"]["mean"] == pytest.approx((0.175 + 0.7) / 2)
    assert summary["right_centres"] == 0.75 and summary["right_double_bonds"] is None
    assert summary["clashing"] == pytest.approx(1 / 6)
    assert summary["seconds_per_conformer"] == 0.5


def vars_of(value: Score) -> dict[str, Any]:
    return {**vars(value), "validity": vars(value.validity)}


def test_failed_molecule_halves_coverage_and_leaves_matching(record: dict[str, Any]) -> None:
    (summary,) = record["summary"]
    assert summary["coverage"]["0.5"]["recall"]["mean"] == 0.5
    assert summary["matching_ang"]["recall"]["count"] == 1
    assert summary["matching_ang"]["recall"]["mean"] < 1e-3
    assert summary["molecules"] == 2 and summary["molecules_without_samples"] == 1
    assert summary["failures"] == {"unreadable": 1}
    assert summary["requested"] == 10 and summary["samples"] == 5


def test_mirror_images_and_broken_samples_are_in_the_counts(record: dict[str, Any]) -> None:
    (summary,) = record["summary"]
    assert summary["right_centres"] == summary["valid"] == pytest.approx(0.4)
    assert summary["faults"] == {"not_finite": 1, "wrong_stereo": 2}
    assert record["rows"][0]["molecules"][0]["precision_ang"][-1] is None


def test_record_survives_json_and_gives_the_same_tables(record: dict[str, Any]) -> None:
    again = json.loads(json.dumps(record, allow_nan=False))
    assert again == record
    assert to_markdown(again) == to_markdown(record)
    assert summarise_row(again["rows"][0], CONFIG.thresholds_ang)["coverage"] == record["summary"][0]["coverage"]


def test_tables_have_every_threshold_and_one_width(record: dict[str, Any]) -> None:
    text = to_markdown(record)
    for words in ("COV-R < 0.1 Å", "COV-P < 0.5 Å", "AMR-R", "AMR-P", "1 unreadable", "name tiny", "steps 4"):
        assert words in text
    for block in text.split("\n\n"):
        widths = {line.count("|") for line in block.splitlines() if line.startswith("|")}
        assert len(widths) <= 1
    assert "\n#" not in text and "nan" not in text and "None" not in text.split("\n\n", 1)[1]


def test_row_without_any_sample_is_a_row_of_dashes() -> None:
    row = Row("model, served", [failed_score(4, 2, "clash")], 1.0)
    record = build_record(Evaluation([Case("CC", 2, None, "clash")], [row], 0.0), CONFIG, {})
    assert "| model, served | 0.0 (0.0) [0.0, 0.0] | 0.0 (0.0) [0.0, 0.0] | - | 0 |" in to_markdown(record)
    assert record["summary"][0]["seconds_per_conformer"] is None


def test_curves_rise_from_zero_and_are_labelled(record: dict[str, Any]) -> None:
    left, right = draw_curves(record).axes
    assert left.get_xlabel() == right.get_xlabel() == "threshold, Å"
    assert (left.get_ylabel(), right.get_ylabel()) == ("COV-R, %", "COV-P, %")
    for axis in (left, right):
        curve = axis.lines[0].get_ydata()
        assert curve[0] == 0 and (np.diff(curve) >= 0).all()
    assert left.get_legend_handles_labels()[1] == ["model, served"]
