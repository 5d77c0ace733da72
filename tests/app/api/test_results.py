from dataclasses import replace

import numpy as np
import pytest

from app.api.results import ensembles, to_record
from app.api.schemas import MoleculeResult
from app.intake.order import Outcome
from app.intake.reading import Refusal
from models.data.molecule import build_molecules, read_smiles
from models.export.formats import FORMATS
from models.structure import Conformer, Ensemble, Finishing, Problem

REFUSED = Outcome("bad", 3, Refusal("unreadable", "it cannot be read"))


def outcome(made, requested=3):
    molecule = build_molecules(read_smiles("O", "water"), 0)[0]
    x = np.array([[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]], dtype=np.float32)
    conformers = tuple(Conformer(k, 10 + k, x) for k in range(made))
    missing = requested - made
    problems = (Problem("clash", "too close", missing),) if missing else ()
    return Outcome("water", requested, Ensemble(molecule, requested, conformers, problems, requested, made))


@pytest.mark.parametrize(("made", "status"), [(3, "ok"), (1, "partial"), (0, "failed")])
@pytest.mark.parametrize("file_format", [*FORMATS.values(), None], ids=[*FORMATS, "json"])
def test_record_of_an_ensemble_adds_up(made, status, file_format):
    record = MoleculeResult.model_validate(to_record(outcome(made), file_format, "small"))
    assert (record.id, record.status, record.smiles) == ("water", status, "O")
    assert record.num_returned == len(record.conformers) == made
    assert record.num_returned + sum(p.count for p in record.problems) == record.num_requested == 3
    assert (record.structure is None) == (made == 0)


def test_record_of_a_refusal_says_why():
    record = MoleculeResult.model_validate(to_record(REFUSED, FORMATS["sdf"], "small"))
    assert (record.id, record.status, record.smiles, record.structure) == ("bad", "failed", None, None)
    assert (record.num_requested, record.num_returned) == (3, 0)
    (problem,) = record.problems
    assert (problem.reason, problem.detail, problem.count) == ("unreadable", "it cannot be read", 3)


def test_outcome_counts_what_was_made():
    assert [o.returned for o in (outcome(3), outcome(1), outcome(0), REFUSED)] == [3, 1, 0, 0]


def test_outcome_is_complete_when_all_was_made_and_finished():
    whole = outcome(3)
    assert [o.complete for o in (whole, outcome(1), REFUSED)] == [True, False, False]
    pruned = replace(whole.answer, requested=5, finishing=Finishing(removed=(Problem("duplicate", "near", 2),)))
    assert Outcome("water", 5, pruned).complete
    late = replace(whole.answer, finishing=Finishing(problems=(Problem("finish_timeout", "late", 3),)))
    assert not Outcome("water", 3, late).complete


def test_only_what_was_made_can_be_written():
    made = outcome(2)
    assert ensembles([REFUSED, made, outcome(0)]) == [made.answer]
