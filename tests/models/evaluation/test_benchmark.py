from itertools import count

import numpy as np
import pytest

from models.data.datasets import ReferenceMolecule
from models.data.guess import Recipe, make_guesses
from models.errors import SamplerError
from models.evaluation import benchmark
from models.evaluation.baseline import EMBEDDED, RELAXED
from models.evaluation.benchmark import (
    Clocks,
    baseline_names,
    default_thresholds,
    measure_baseline,
    measure_model,
    plan_rows,
)
from models.evaluation.case import read_cases
from models.evaluation.conformers import rmsd_matrix
from models.options import START_TIME, SampleOptions


def ticking(step=1):
    """Clock that moves on with each look."""
    ticks = count(0, step)
    return lambda: float(next(ticks))


@pytest.fixture
def clocks():
    return Clocks(ticking(1), ticking(10))


@pytest.fixture
def cases_of(molecule_of, structure_of):
    def build(*smiles, broken=False):
        molecules = [molecule_of(text) for text in smiles]
        references = [
            ReferenceMolecule(
                text,
                np.array([atom.GetAtomicNum() for atom in molecule.mol.GetAtoms()]),
                np.stack([structure_of(molecule)] * 2).astype(np.float32),
            )
            for text, molecule in zip(smiles, molecules, strict=True)
        ]
        lost = [ReferenceMolecule("C(C", np.zeros(1), np.zeros((3, 1, 3)))] if broken else []
        return read_cases(references + lost, 20, None, 0)

    return build


def test_rows_are_those_of_the_page():
    rows = plan_rows()
    assert list(rows) == [
        *(f"from noise, {steps} steps" for steps in (5, 10, 20, 50)),
        *(f"from ETKDG, {steps} steps" for steps in (5, 10, 20)),
        *(f"from ETKDG + MMFF94s, {steps} steps" for steps in (5, 10, 20)),
    ]
    assert rows["from noise, 20 steps"] == SampleOptions(steps=20)
    assert rows["from ETKDG, 10 steps"] == SampleOptions(steps=10, start="etkdg", start_time=START_TIME["etkdg"])


def test_several_tries_are_rows_of_their_own_with_a_baseline():
    assert set(plan_rows(4)) - set(plan_rows()) == {
        f"from lowest of 4 ETKDG + MMFF94s, {steps} steps" for steps in (5, 10, 20)
    }
    assert {options.tries for options in plan_rows(4).values()} == {1, 4}
    assert baseline_names() == (EMBEDDED, RELAXED)
    assert baseline_names(4) == (EMBEDDED, RELAXED, f"lowest of 4 {RELAXED}")
    with pytest.raises(SamplerError, match="tries is 99"):
        plan_rows(99)


def test_thresholds_follow_the_size_of_the_molecules(cases_of):
    assert default_thresholds(cases_of("CCO")) == (0.5, 0.1)
    assert default_thresholds(cases_of("CCO", "CCCCCCCCCC")) == (0.75,)


def test_row_of_a_model_that_knows_the_answer(cases_of, molecule_of, oracle, model_of, clocks):
    smiles = ("CCO", "C[C@H](N)C(=O)O")
    model = model_of(oracle(*map(molecule_of, smiles)))
    row = measure_model(model, cases_of(*smiles, broken=True), SampleOptions(steps=3), clocks, 1)
    assert (row["options"]["steps"], row["options"]["start"]) == (3, "noise")
    first, second, broken = row["molecules"]
    assert (first["samples"], second["samples"], broken["samples"]) == (4, 4, 0)
    assert max(first["precision_ang"] + second["recall_ang"]) < 1e-3
    assert broken["failure"] == "unreadable" and broken["recall_ang"] == [None] * 3
    assert row["first_draw"] == {
        "asked": 14, "passed": 8, "stereo_asked": 4, "stereo_right": 4, "faults": {"unreadable": 6},
    }  # fmt: skip


def test_first_draws_are_counted_before_faulty_ones_are_replaced(cases_of, molecule_of, oracle, model_of, clocks):
    calls = count()
    model = model_of(oracle(molecule_of("CCO"), fails=lambda x: next(calls) in (1, 2)))  # 0 sets up the kernels
    row = measure_model(model, cases_of("CCO"), SampleOptions(steps=2), clocks, 1)
    assert row["first_draw"]["asked"] == 4 and row["first_draw"]["passed"] == 2
    assert row["first_draw"]["faults"] == {"broken_bond": 2}
    assert (row["molecules"][0]["samples"], row["molecules"][0]["counts"]) == (4, {"attempts": 6})


def test_draws_without_a_guess_are_sampled_from_noise(cases_of, shaken, tiny_config, model_of, clocks, monkeypatch):
    monkeypatch.setattr("models.data.guess.embed_guesses", lambda molecule, seeds: [None] * len(seeds))
    model = model_of(shaken(tiny_config()))
    rows = [
        measure_model(model, cases_of("CCO"), options, clocks, 1)
        for options in (SampleOptions(steps=2, rounds=1, start="etkdg", start_time=0.8), SampleOptions(rounds=1))
    ]
    assert rows[0]["first_draw"] == rows[1]["first_draw"]
    assert rows[0]["molecules"][0]["recall_ang"] == rows[1]["molecules"][0]["recall_ang"]


def test_model_is_timed_as_a_whole_and_without_the_scoring(cases_of, molecule_of, oracle, model_of, monkeypatch):
    seconds = [0.0]
    clock = Clocks(lambda: seconds[0], lambda: 2 * seconds[0])

    def spend(value, result):
        seconds[0] += value
        return result

    drawn, scored = benchmark.draw_samples, benchmark.score
    monkeypatch.setattr(benchmark, "generate", lambda *_: spend(100, None))
    monkeypatch.setattr(benchmark, "draw_samples", lambda *rest: spend(3, drawn(*rest)))
    monkeypatch.setattr(benchmark, "score", lambda sampled: spend(50, scored(sampled)))
    row = measure_model(model_of(oracle(molecule_of("CCO"))), cases_of("CCO"), SampleOptions(steps=1), clock, 1)
    assert (row["seconds"], row["cpu_seconds"]) == (3, 6)


def test_baseline_rows_and_their_times(cases_of, clocks):
    seen = {}
    cases = cases_of("CCO", "OB(O)C", broken=True)
    rows = measure_baseline(cases, 1, clocks, 1, lambda phase, done, total: seen.update({phase: (done, total)}))
    assert list(rows) == [EMBEDDED, RELAXED]
    assert [score["samples"] for score in rows[EMBEDDED]["molecules"]] == [4, 4, 0]
    assert [score["failure"] for score in rows[RELAXED]["molecules"]] == [None, "no_mmff_parameters", "unreadable"]
    assert rows[RELAXED]["first_draw"]["faults"] == {"no_mmff_parameters": 4, "unreadable": 6}
    # Each molecule is timed alone: one look before it and one after; the second row has both works.
    assert [(row["seconds"], row["cpu_seconds"]) for row in rows.values()] == [(2, 20), (4, 40)]
    assert all(row["options"] is None for row in rows.values())
    assert seen["embedding"] == seen["relaxing"] == (2, 2)


def test_lowest_of_several_is_what_paths_begin_at(cases_of, clocks):
    case, boron = cases_of("CC(C)CO", "OB(O)C")
    rows = measure_baseline([case, boron], 3, clocks, 1)
    assert list(rows) == list(baseline_names(3))
    row = rows[f"lowest of 3 {RELAXED}"]
    target = case.target
    seeds = [target.seed + k for k in range(target.requested)]
    x = np.stack(make_guesses(target.molecule, seeds, Recipe(relax=True, tries=3)))
    nearest = rmsd_matrix(target.molecule.mol, target.references, x).min(axis=0)
    assert row["molecules"][0]["precision_ang"] == pytest.approx(nearest.tolist(), abs=1e-6)
    assert row["molecules"][1]["failure"] == "no_mmff_parameters"
    assert row["seconds"] == 2  # its own time, nothing of the other rows
