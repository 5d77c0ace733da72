import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdForceFieldHelpers

from models.data.mmff import energies, has_parameters, relax
from models.data.verify import with_coordinates


@pytest.fixture
def pile(molecule_of, structure_of):
    """Four ETKDG structures of a molecule.  [4, N, 3]"""

    def build(smiles):
        molecule = molecule_of(smiles)
        return molecule.mol, np.stack([structure_of(molecule, seed) for seed in range(1, 5)])

    return build


def energy(mol, x):
    """By RDKit, one force field for one conformer."""
    placed = with_coordinates(mol, x)
    properties = rdForceFieldHelpers.MMFFGetMoleculeProperties(placed, mmffVariant="MMFF94s")
    return rdForceFieldHelpers.MMFFGetMoleculeForceField(placed, properties).CalcEnergy()


@pytest.mark.parametrize("smiles", ["CCCCO", "C[C@H](N)C(=O)O", "CNC(=O)c1ccccc1", "[NH3+]CC(=O)[O-]", "C[S@](=O)CC"])
def test_relaxing_never_raises_the_energy(pile, smiles):
    mol, x = pile(smiles)
    shaken = x + np.random.default_rng(0).normal(scale=0.1, size=x.shape)
    for start in (x, shaken):
        before, after = energies(mol, start), relax(mol, start)
        assert (after.energies <= before).all()
        again = relax(mol, after.coordinates)
        assert (again.energies <= after.energies + 1e-4).all()  # in the minimum only rounding is left
    assert (after.energies < before - 1.0).all()


def test_energies_are_those_of_the_force_field(pile):
    mol, x = pile("CNC(=O)c1ccccc1")
    np.testing.assert_allclose(energies(mol, x), [energy(mol, row) for row in x], atol=1e-9)
    minima = relax(mol, x)
    np.testing.assert_allclose(minima.energies, [energy(mol, row) for row in minima.coordinates], atol=1e-6)


def test_relaxing_keeps_place_and_count(pile):
    mol, x = pile("CCCCO")
    kept = x.copy()
    minima = relax(mol, x)
    assert minima.coordinates.shape == x.shape
    assert not minima.moving.any()
    assert 0 < np.abs(minima.coordinates - x).max() < 3
    np.testing.assert_array_equal(x, kept)
    assert mol.GetNumConformers() == 0


def test_conformers_are_relaxed_on_their_own(pile):
    mol, x = pile("CCCCO")
    together = relax(mol, x)
    for row in range(len(x)):
        alone = relax(mol, x[row : row + 1])
        np.testing.assert_array_equal(alone.coordinates[0], together.coordinates[row])
        assert alone.energies[0] == together.energies[row]


def test_conformer_that_did_not_arrive_is_marked(pile):
    mol, x = pile("CCCCO")
    assert relax(mol, x, max_iterations=2).moving.all()


def test_nothing_to_relax_gives_nothing(pile):
    mol, x = pile("CCO")
    minima = relax(mol, x[:0])
    assert minima.coordinates.shape == (0, 9, 3)
    assert len(minima.energies) == len(minima.moving) == len(energies(mol, x[:0])) == 0


@pytest.mark.parametrize(
    ("smiles", "known"),
    [("C", True), ("C[Si](C)(C)C", True), ("CP(C)(C)=O", True), ("CB(O)O", False), ("C[SeH]", False)],
)
def test_molecules_without_parameters_are_known(smiles, known):
    assert has_parameters(Chem.AddHs(Chem.MolFromSmiles(smiles))) is known
