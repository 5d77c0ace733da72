import time

import numpy as np
import pytest
from rdkit.Chem import rdDistGeom

from models.data.molecule import build_molecules, read_smiles
from models.evaluation.baseline import EMBEDDED, RELAXED, BaselineJob, embed, score_baseline
from models.evaluation.conformers import Target


def target(smiles: str, count: int = 2) -> Target:
    molecule = build_molecules(read_smiles(smiles), 0)[0]
    references, failure = embed(molecule.mol, count, 3, 20)
    assert failure is None
    return Target(molecule, references, 2 * count, 5)


@pytest.mark.parametrize("smiles", ["CCO", "C[C@H](F)Cl", "c1ccccc1"])
def test_both_rows_of_small_molecules_find_the_references(smiles: str) -> None:
    scores = score_baseline(BaselineJob(target(smiles), 20, time.perf_counter))
    assert list(scores) == [EMBEDDED, RELAXED]
    for score in scores.values():
        assert score.samples == score.requested == score.validity.valid == 4
        assert max(score.recall_ang) < 0.3 and score.failure is None
    assert 0 < (scores[EMBEDDED].seconds or 0) < (scores[RELAXED].seconds or 0)
    assert scores[RELAXED].counts == {"unconverged": 0}


def test_seed_fixes_the_conformers() -> None:
    mol = target("CCCCO").molecule.mol
    first, again, other = (embed(mol, 3, seed, 20)[0] for seed in (5, 5, 6))
    assert np.array_equal(first, again) and not np.allclose(first, other)
    assert not np.allclose(first[0], first[1])


@pytest.mark.parametrize(("returned", "reason"), [([-1], "embedding_timeout"), ([], "embedding_failed")])
def test_embedding_without_conformers_fails_whatever_rdkit_lists(
    monkeypatch: pytest.MonkeyPatch, returned: list[int], reason: str
) -> None:
    monkeypatch.setattr(rdDistGeom, "EmbedMultipleConfs", lambda mol, count, parameters: returned)
    scores = score_baseline(BaselineJob(target_without_embedding(), 1, time.perf_counter))
    for score in scores.values():
        assert (score.samples, score.requested, score.failure) == (0, 6, reason)
        assert np.isinf(score.recall_ang).all()


def test_error_inside_rdkit_is_a_failure_of_the_molecule(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("Pre-condition Violation")

    monkeypatch.setattr(rdDistGeom, "EmbedMultipleConfs", fail)
    x, failure = embed(target_without_embedding().molecule.mol, 2, 5, 1)
    assert x.shape == (0, 9, 3) and failure == "embedding_error"


def test_element_without_force_field_fails_only_the_relaxed_row() -> None:
    scores = score_baseline(BaselineJob(target("OB(O)C"), 20, time.perf_counter))
    assert scores[EMBEDDED].samples == 4 and scores[EMBEDDED].failure is None
    assert scores[RELAXED].samples == 0 and scores[RELAXED].failure == "no_mmff_parameters"


def target_without_embedding() -> Target:
    molecule = build_molecules(read_smiles("CCO"), 0)[0]
    return Target(molecule, np.random.default_rng(0).normal(size=(3, 9, 3)), 6, 5)
