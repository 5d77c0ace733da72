import numpy as np
import pytest
import torch
from rdkit import Chem
from rdkit.Chem import rdForceFieldHelpers

from models.data.verify import check_geometry, geometry_limits
from models.labels.label import LabelSettings, label_molecule

SETTINGS = LabelSettings(starts=10, relaxed=8)


class Mmff:
    """MMFF94s as the method: its minima are where the starts already are, so only choosing and checking is left."""

    name = "MMFF94s"
    elements = frozenset((1, 6, 7, 8, 9, 17))

    def __init__(self, smiles, break_below=None):
        self.mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
        self.field = rdForceFieldHelpers.MMFFGetMoleculeProperties(self.mol, mmffVariant="MMFF94s")

    def __call__(self, numbers, charge, x):
        energies = []
        for position in x.numpy():
            conformer = Chem.Conformer(len(position))
            conformer.SetPositions(position)
            self.mol.RemoveAllConformers()
            self.mol.AddConformer(conformer)
            energies.append(rdForceFieldHelpers.MMFFGetMoleculeForceField(self.mol, self.field).CalcEnergy())
        return torch.tensor(energies, dtype=torch.float64), torch.zeros_like(x)


def label(smiles, settings=SETTINGS, excluded=frozenset(), seed=1):
    return label_molecule(smiles, Mmff(Chem.CanonSmiles(smiles)), settings, excluded, seed)


def test_ensemble_is_in_the_order_of_its_smiles_and_of_energy(molecule_of):
    made = label("OCCCN")
    molecule = molecule_of(made.smiles)
    assert made.numbers.tolist() == [atom.GetAtomicNum() for atom in molecule.mol.GetAtoms()]
    assert made.x.shape == (len(made.energy), molecule.num_atoms, 3)
    assert len(made.x) > 2
    assert made.energy[0] == 0 and (np.diff(made.energy) >= 0).all() and made.energy[-1] <= 6
    assert check_geometry(geometry_limits(molecule), made.x) == [None] * len(made.x)
    assert made.guesses.shape == (10, *made.x.shape[1:])
    np.testing.assert_allclose(made.guesses.mean(1), 0, atol=1e-5)


def test_equal_minima_are_one_conformer():
    assert len(label("CC").x) == 1
    assert len(label("C1CC1").x) == 1
    loose = label("CCCC", LabelSettings(starts=30, relaxed=30))
    assert len(loose.x) == 2  # anti and gauche, whose mirror image has the same heavy-atom distances but is not one


def test_same_seed_makes_the_same_ensemble():
    first, again, other = label("OCCCN"), label("OCCCN"), label("OCCCN", seed=2)
    assert np.array_equal(first.x, again.x) and np.array_equal(first.guesses, again.guesses)
    assert not np.array_equal(first.guesses, other.guesses)


@pytest.mark.parametrize(
    ("smiles", "settings", "reason"),
    [
        ("CC(N)C=O", SETTINGS, "test_molecule"),
        ("CCBr", SETTINGS, "unsupported_element"),
        ("CCCCCCCCCC", LabelSettings(largest=20), "size"),
        ("CCCCCCCCCC", LabelSettings(rotors=3), "too_flexible"),
        ("C1C", SETTINGS, "unreadable"),
        ("CC.CC", SETTINGS, "multiple_fragments"),
    ],
)
def test_what_is_not_labelled_has_a_reason(smiles, settings, reason):
    potential = Mmff("CC")
    assert label_molecule(smiles, potential, settings, frozenset({"CC(N)C=O"}), 1) == reason


def test_molecule_that_changes_is_dropped(monkeypatch):
    monkeypatch.setattr("models.labels.label.stereo_matches", lambda molecule, x: False)
    assert label("OCCCN") == "no_sound_minimum"


def test_forces_that_stay_large_drop_the_conformer():
    class Steep(Mmff):
        def __call__(self, numbers, charge, x):
            energy, gradient = super().__call__(numbers, charge, x)
            return energy + 1e3, gradient + 100.0

    assert label_molecule("OCCCN", Steep("OCCCN"), SETTINGS, frozenset(), 1) == "no_sound_minimum"
