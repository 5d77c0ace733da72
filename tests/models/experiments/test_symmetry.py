import time

import pytest

from models.experiments.arms import ARMS, find_arms
from models.experiments.curvature import FORMS
from models.experiments.denoising import build_pairs
from models.experiments.symmetry import Run, build_tables, curvature_tables, measure_run, measure_turn, run_table
from models.samplers.prior import build_prior


def run_of(arm, seed, level):
    columns = {"t = 0.1": [level, level + 1], "all, weighted": [level, level]}
    kinds = dict.fromkeys(("quotient", "plain", "aligned"), columns)
    progress = {"step": 10 + seed, "elapsed_s": 2.0, "conformers": 100}
    return Run(arm.name, seed, progress, kinds, kinds, {"AMR-R, Å": [level, level]})


RUNS = [run_of(arm, seed, float(level)) for level, arm in enumerate(ARMS) for seed in (0, 1)]


def test_tables_have_a_line_for_each_arm():
    tables = {one["title"]: one for one in build_tables(RUNS, ARMS)}
    names = [arm.name for arm in ARMS]
    assert [row["name"] for row in tables["Horizontal error, own pairs, Å²"]["rows"]] == names
    assert [row["cells"][0]["mean"] for row in tables["Ensembles"]["rows"]] == [0, 1, 2, 3, 4, 5]


def test_differences_are_taken_from_the_plain_arm():
    tables = {one["title"]: one for one in build_tables(RUNS, ARMS)}
    found = {row["name"]: row["cells"][-1]["mean"] for row in tables["Difference from plain"]["rows"]}
    assert found == {arm.name: level for level, arm in enumerate(ARMS) if level}
    (last,) = tables["Difference from quotient+kabsch"]["rows"]
    assert (last["name"], last["cells"][0]["mean"]) == ("quotient+kabsch+automorphisms", 1)


def test_arms_that_were_left_out_are_not_compared_with():
    arms = find_arms(["kabsch"])
    tables = build_tables([run for run in RUNS if run.arm == "kabsch"], arms)
    assert not [one for one in tables if one["title"].startswith("Difference")]


def test_run_table_says_how_far_each_arm_came():
    found = run_table(RUNS, ARMS)
    assert found["lines"][0] == ["plain", "plain", "none", "plain", "2", "10", "100", "190.5"]
    assert len(found["lines"]) == len(ARMS)


def test_curvature_tables_compare_forms_by_size():
    forms = {name: [{"Rg / data": [k + 0.0, k + 1.0, k + 2.0]}] for k, name in enumerate(FORMS)}
    tables = {one["title"]: one for one in curvature_tables(forms, [5, 8, 17])}
    assert set(tables) == {
        "Curvature drift, all sizes", "Curvature drift, 5 to 8 atoms", "Curvature drift, 17 to 20 atoms",
        "SDE, noise 1, with curvature less without", "SDE, noise 0.5, with curvature less without",
    }  # fmt: skip
    assert tables["Curvature drift, 5 to 8 atoms"]["rows"][1]["cells"][0]["mean"] == 1.5
    change = tables["SDE, noise 1, with curvature less without"]["rows"]
    assert [row["name"] for row in change] == ["all", "5 to 8 atoms", "17 to 20 atoms"]
    assert all(row["cells"][0]["mean"] == -1 for row in change)


@pytest.mark.parametrize("name", ["quotient", "kabsch"])
def test_run_that_knows_the_molecule_is_measured_as_such(cases, knowing, name):
    (arm,), case = find_arms([name]), cases[3]
    pairs = {word: build_pairs([case.target], build_prior("gaussian", 1.0), word, 1, 0) for word in ("none", "kabsch")}
    model = knowing(case.target)
    found = Run(arm.name, 0, {}, **measure_run(model, arm, pairs, 1, [case], 4, time.perf_counter))
    assert max(found.own["aligned"]["all, weighted"]) < 1e-6
    assert found.ensembles["COV-R < 0.25 Å, %"] == [100]
    turn = measure_turn(model, arm, pairs, 1)
    assert turn["free"] == pytest.approx(found.free["quotient"]["all, weighted"][0])
    assert (turn["own"] == turn["free"]) == (name == "quotient")
