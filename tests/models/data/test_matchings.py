import numpy as np
import pytest
from rdkit import Chem

from models.data.matchings import matches_capped, shape_matchings


def molecule(smiles):
    return Chem.AddHs(Chem.MolFromSmiles(smiles))


@pytest.mark.parametrize(
    ("smiles", "atoms", "number"),
    [
        ("CC(C)(C)c1ccccc1", 10, 12),  # three methyl groups and the flip of the ring
        ("CCCO", 4, 1),
        ("C[N+](=O)[O-]", 4, 2),  # oxygens that are drawn differently are one kind
        ("CC(=O)[O-]", 4, 2),
        ("[2H]C([2H])([2H])CCO", 4, 1),
        ("FC(F)(F)C(F)(F)F", 8, 72),
    ],
)
def test_matchings_of_heavy_atoms(smiles, atoms, number):
    mol = molecule(smiles)
    found = shape_matchings(mol)
    assert [mol.GetAtomWithIdx(int(k)).GetAtomicNum() > 1 for k in found.atoms] == [True] * atoms
    assert found.matchings.shape == (number, atoms)
    assert not found.capped
    assert found.matchings[0].tolist() == list(range(atoms))
    assert len({tuple(row) for row in found.matchings.tolist()}) == number


@pytest.mark.parametrize(("smiles", "number"), [("C", 24), ("O", 2), ("[H][H]", 2), ("CO", 6), ("F", 1)])
def test_all_atoms_count_where_there_are_fewer_than_three_heavy_ones(smiles, number):
    mol = molecule(smiles)
    found = shape_matchings(mol)
    assert found.atoms.tolist() == list(range(mol.GetNumAtoms()))
    assert len(found.matchings) == number


def test_matchings_keep_bonds_and_elements():
    mol = Chem.RemoveAllHs(molecule("CC(C)(C)c1cc(C(F)(F)F)cc(C(F)(F)F)c1"))
    bonded = Chem.GetAdjacencyMatrix(mol)
    numbers = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
    for matching in shape_matchings(mol).matchings:
        assert (numbers[matching] == numbers).all()
        assert (bonded[np.ix_(matching, matching)] == bonded).all()


def test_cap_of_matchings_is_noticed():
    mol = molecule("FC(F)(F)C#N")
    assert not matches_capped(mol, 6)
    assert matches_capped(mol, 5)
    assert matches_capped(molecule("C[N+](=O)[O-]"), 1)  # its oxygens count as equivalent
    assert not matches_capped(molecule("C[N+](=O)[O-]"), 2)
    few = shape_matchings(mol, 4)
    assert few.capped
    assert few.matchings.shape == (4, 6)
    assert few.matchings[0].tolist() == list(range(6))


def test_cap_bounds_the_work_in_the_most_symmetric_molecules():
    found = shape_matchings(molecule("FC(F)(F)" + "C(F)(F)" * 20 + "C(F)(F)F"))  # 72 x 2^20 matchings
    assert found.capped
    assert len(found.matchings) == 1_000
