import numpy as np
import pytest
import torch

from models.data.features import build_features
from models.data.pairing import pair_guesses
from models.geometry.rigid import random_rotation


@pytest.fixture
def toluene(molecule_of, structure_of):
    molecule = molecule_of("Cc1ccccc1")
    hydrogen = np.array([atom.GetAtomicNum() == 1 for atom in molecule.mol.GetAtoms()])
    return build_features(molecule.mol), hydrogen, structure_of(molecule)


def renumbered(features, hydrogen, x):
    """The ring turned over and two methyl hydrogens exchanged: the same structure with other numbers."""
    carbons = np.arange(7)
    carbons[[2, 3, 5, 6]] = [6, 5, 3, 2]
    order = np.arange(len(x))
    order[:7] = carbons
    own = {k: np.flatnonzero(features.bonded[k] & hydrogen) for k in range(7)}
    for k in (2, 3, 4, 5, 6):
        order[own[k]] = own[carbons[k]]
    order[own[0][:2]] = order[own[0][:2]][::-1]
    return x[order]


def test_other_numbers_of_the_same_structure_are_seen_through(toluene):
    features, hydrogen, x = toluene
    turn = random_rotation(torch.randn(1, 4)).numpy()[0]
    other = renumbered(features, hydrogen, x) @ turn.T + 3
    pairs = pair_guesses(features, hydrogen, other[None], x[None])
    assert pairs.rmsd_ang[0] < 0.05
    assert pairs.targets.tolist() == [0]
    bonds = np.argwhere(np.triu(features.bonded))
    lengths = [np.linalg.norm(p[bonds[:, 0]] - p[bonds[:, 1]], axis=1) for p in (pairs.guesses[0], x)]
    np.testing.assert_allclose(*lengths, atol=0.03)


def test_mirror_images_of_a_centre_are_not_exchanged(molecule_of, structure_of):
    molecule = molecule_of("C[C@H](F)Cl")
    features, x = build_features(molecule.mol), structure_of(molecule)
    hydrogen = np.array([atom.GetAtomicNum() == 1 for atom in molecule.mol.GetAtoms()])
    pairs = pair_guesses(features, hydrogen, x[None] * [-1, 1, 1], x[None])
    assert pairs.rmsd_ang[0] > 0.3


def test_each_guess_takes_its_nearest_conformer(toluene):
    features, hydrogen, x = toluene
    rng = np.random.default_rng(0)
    conformers = x + rng.normal(scale=0.3, size=(3, *x.shape))
    guesses = conformers[[2, 0, 1, 2]] + rng.normal(scale=0.02, size=(4, *x.shape))
    pairs = pair_guesses(features, hydrogen, guesses, conformers)
    assert pairs.targets.tolist() == [2, 0, 1, 2]
    near = pairs.within(float(np.sort(pairs.rmsd_ang)[1]))
    assert len(near.guesses) == len(near.targets) == 2


def test_water_has_no_heavy_frame_and_is_paired(molecule_of, structure_of):
    molecule = molecule_of("O")
    x = structure_of(molecule)
    pairs = pair_guesses(build_features(molecule.mol), np.array([False, True, True]), x[None][:, [0, 2, 1]], x[None])
    assert pairs.rmsd_ang[0] < 0.05


def test_nothing_to_pair_is_nothing(toluene):
    features, hydrogen, x = toluene
    pairs = pair_guesses(features, hydrogen, x[None][:0], x[None])
    assert pairs.guesses.shape == (0, *x.shape) and not len(pairs.targets)
