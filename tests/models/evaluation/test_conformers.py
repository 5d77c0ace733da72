import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem.rdMolAlign import GetBestRMS

from models.data.verify import with_coordinates
from models.evaluation.baseline import embed
from models.evaluation.conformers import (
    coverage,
    failed_score,
    matching,
    nearest,
    rmsd_matrix,
    summarise,
)


def molecule(smiles: str) -> Chem.Mol:
    return Chem.AddHs(Chem.MolFromSmiles(smiles))


def test_coverage_and_matching_of_a_matrix_worked_out_by_hand() -> None:
    matrix = np.array([[0.2, 0.6, 0.9, 1.0], [0.8, 0.5, 0.7, 0.9]])
    recall, precision = nearest(matrix)
    assert recall.tolist() == [0.2, 0.5]
    assert precision.tolist() == [0.2, 0.5, 0.7, 0.9]
    assert coverage(recall, 0.5) == 0.5  # 0.5 itself is not below 0.5
    assert coverage(recall, 0.51) == 1.0
    assert coverage(precision, 0.75) == 0.75
    assert matching(recall) == pytest.approx(0.35)
    assert matching(precision) == pytest.approx(0.575)


def test_references_without_samples_are_infinitely_far() -> None:
    recall, precision = nearest(np.zeros((3, 0)))
    assert np.isinf(recall).all() and len(recall) == 3 and len(precision) == 0
    assert coverage(recall, 10.0) == coverage(precision, 10.0) == 0.0
    assert matching(recall) is None and matching(precision) is None


def test_a_failed_molecule_covers_nothing_and_keeps_its_reason() -> None:
    score = failed_score(requested=6, references=3, failure="atom_order")
    assert coverage(np.array(score.recall_ang), 99.0) == 0.0
    assert (score.requested, score.samples, score.failure) == (6, 0, "atom_order")


@pytest.mark.parametrize(
    ("smiles", "order"),
    [
        ("CC(C)(C)c1ccccc1", [0, 1, 3, 2]),  # two methyl groups change places
        ("O=[N+]([O-])c1ccccc1", [2, 1, 0]),  # nitro oxygens, equivalent although drawn differently
        ("FC(F)(F)C#N", [2, 1, 0, 3]),
    ],
)
def test_equivalent_atoms_may_change_places(smiles: str, order: list[int]) -> None:
    mol = molecule(smiles)
    x, _ = embed(mol, 1, 7, 10)
    heavy = [*order, *range(len(order), mol.GetNumHeavyAtoms())]
    swapped = x[:, [*heavy, *range(len(heavy), mol.GetNumAtoms())]]
    assert rmsd_matrix(mol, x, swapped).item() < 1e-3 or np.abs(swapped - x).max() < 1e-3


def test_rmsd_does_not_change_with_hydrogens_and_rigid_motion() -> None:
    mol = molecule("CCO")
    x, _ = embed(mol, 1, 7, 10)
    turned = x @ np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]).T + 5.0
    turned[:, mol.GetNumHeavyAtoms() :] += 1.0
    assert rmsd_matrix(mol, x, turned).item() < 1e-4


def test_mirror_image_is_not_superposed() -> None:
    mol = molecule("C[C@H](F)Cl")
    x, _ = embed(mol, 1, 7, 10)
    assert rmsd_matrix(mol, x, x * [-1, 1, 1]).item() > 0.3


def test_matrix_agrees_with_get_best_rms() -> None:
    mol = molecule("OC(=O)CCc1ccc(C(F)(F)F)cc1")
    x, _ = embed(mol, 7, 11, 20)
    matrix = rmsd_matrix(mol, x[:3], x[3:])
    assert matrix.shape == (3, 4)
    for row in range(3):
        for column in range(4):
            probe, reference = (Chem.RemoveAllHs(with_coordinates(mol, x[k])) for k in (3 + column, row))
            assert matrix[row, column] == pytest.approx(GetBestRMS(probe, reference), abs=1e-4)


def test_sample_that_is_not_finite_is_infinitely_far_and_spoils_no_other() -> None:
    mol = molecule("CCO")
    x, _ = embed(mol, 2, 7, 10)
    samples = np.concatenate((x, x))
    samples[1] = np.nan
    matrix = rmsd_matrix(mol, x[:1], samples)
    assert np.isinf(matrix[0, 1]) and np.isfinite(matrix[0, [0, 2, 3]]).all()
    _, precision = nearest(matrix)
    assert coverage(precision, 50.0) == 0.75


def test_single_heavy_atom_has_no_distance() -> None:
    mol = molecule("C")
    x, _ = embed(mol, 2, 7, 10)
    assert rmsd_matrix(mol, x[:1], x).tolist() == [[0.0, 0.0]]


def test_bootstrap_interval_holds_the_mean_and_is_reproducible() -> None:
    values = np.random.default_rng(3).normal(0.5, 0.1, 100).tolist()
    summary = summarise(values)
    assert summary is not None and summary == summarise(values)
    assert summary.low < summary.mean < summary.high
    assert summary.mean == pytest.approx(np.mean(values)) and summary.median == pytest.approx(np.median(values))
    assert summary.high - summary.low == pytest.approx(2 * 1.96 * np.std(values) / 10, rel=0.15)
    assert summary.count == 100
    assert summarise(values, seed=1) != summary


def test_interval_of_equal_values_has_no_width_and_of_none_is_none() -> None:
    summary = summarise([0.25, 0.25])
    assert summary is not None and summary.low == summary.mean == summary.high == 0.25
    assert summarise([]) is None
