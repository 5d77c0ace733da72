import numpy as np
import pytest
from rdkit import Chem

from models.data.datasets import ReferenceMolecule
from models.data.molecule import read_smiles
from models.errors import DataError
from models.evaluation.case import atom_order, evenly, read_cases, reference_deviations


def reference(smiles: str, conformers: int = 3) -> ReferenceMolecule:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    numbers = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()], dtype=np.uint8)
    x = np.random.default_rng(0).normal(size=(conformers, len(numbers), 3)).astype(np.float32)
    return ReferenceMolecule(smiles, numbers, x)


@pytest.mark.parametrize(
    ("total", "most", "places"), [(5, 9, [0, 1, 2, 3, 4]), (9, 3, [0, 4, 8]), (9, 1, [0]), (0, 4, []), (10, 2, [0, 9])]
)
def test_places_are_evenly_spaced(total: int, most: int, places: list[int]) -> None:
    assert evenly(total, most) == places


def test_two_samples_for_each_reference_after_the_cut() -> None:
    (case,) = read_cases([reference("CCO", 9)], max_references=3, max_molecules=None, seed=0)
    assert case.target is not None and case.references == 3 and case.target.requested == 6
    assert np.array_equal(case.target.references, reference("CCO", 9).coordinates[[0, 4, 8]])


def test_molecules_are_cut_and_get_seeds_of_their_own() -> None:
    sets = [reference(smiles) for smiles in ("C", "CC", "CCC", "CCCC", "CCCCC")]
    cases = read_cases(sets, 20, 3, seed=4)
    assert [case.smiles for case in cases] == ["C", "CCC", "CCCCC"]
    seeds = [case.target.seed for case in cases if case.target]
    again = [case.target.seed for case in read_cases(sets, 20, 3, seed=4) if case.target]
    assert len(set(seeds)) == 3 and seeds == again and min(seeds) > 0
    assert seeds != [case.target.seed for case in read_cases(sets, 20, 3, seed=5) if case.target]


def test_unusable_molecules_stay_with_their_reason() -> None:
    swapped = ReferenceMolecule("CO", reference("CO").numbers[::-1], reference("CO").coordinates)
    sets = [
        reference("CO"),
        swapped,
        reference("[H][H]"),
        reference("[Na+].[Cl-]"),
        ReferenceMolecule("C(C", np.zeros(1), np.zeros((1, 1, 3))),
        reference("CC", 0),
    ]
    failures = [case.failure for case in read_cases(sets, 20, None, 0)]
    assert failures == [None, "atom_order", "no_heavy_atoms", "unsupported_element", "unreadable", "no_references"]


def test_empty_set_is_refused() -> None:
    with pytest.raises(DataError, match="no molecules"):
        read_cases([], 20, None, 0)


def test_hydrogen_written_as_an_atom_is_put_into_the_order_of_a_request() -> None:
    smiles = "[H]OC"  # the set has oxygen first, a request keeps the hydrogen first
    known = reference(smiles)
    mol = read_smiles(smiles)
    order = atom_order(mol, known)
    assert order is not None
    assert [int(known.numbers[k]) for k in order] == [atom.GetAtomicNum() for atom in mol.GetAtoms()]
    listed = Chem.AddHs(Chem.MolFromSmiles(smiles))
    for bond in mol.GetBonds():
        assert listed.GetBondBetweenAtoms(order[bond.GetBeginAtomIdx()], order[bond.GetEndAtomIdx()])


def test_open_stereo_is_chosen_and_noted() -> None:
    (case,) = read_cases([reference("CC(O)F")], 20, None, 0)
    assert case.target is not None and "@" in case.target.molecule.smiles
    assert "stereo left open" in case.target.molecule.notes[0]


def test_spread_of_one_reference_is_zero() -> None:
    (one,) = read_cases([reference("CCO", 1)], 20, None, 0)
    (three,) = read_cases([reference("CCO", 3)], 20, None, 0)
    assert reference_deviations(one) == pytest.approx((0, 0))
    bond, angle = reference_deviations(three)
    assert bond is not None and angle is not None and bond > 0.1 and angle > 1
