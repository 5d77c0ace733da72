import numpy as np
import torch
from rdkit import Chem

from models.labels.relax import Descent, largest_force, relax

SMILES = "CCO"


def starts(springs, count=4, size=0.05):
    mol = Chem.AddHs(Chem.MolFromSmiles(SMILES))
    potential = springs(SMILES)
    numbers = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
    noise = np.random.default_rng(1).normal(scale=size, size=(count, *potential.minimum.shape))
    return potential, numbers, Chem.GetAdjacencyMatrix(mol), potential.minimum + noise


def test_relaxing_ends_where_forces_vanish(springs):
    potential, numbers, bonded, x = starts(springs)
    before, _ = potential(torch.from_numpy(numbers), 0, torch.from_numpy(x))
    potential.calls = 0
    minima = relax(potential, numbers, 0, bonded, x, Descent(force=0.01, steps=60))
    assert (minima.force < 0.01).all()
    assert (minima.energy < before).all()
    assert potential.calls < 40
    energy, gradient = potential(torch.from_numpy(numbers), 0, minima.x)
    torch.testing.assert_close(energy, minima.energy)
    torch.testing.assert_close(largest_force(gradient), minima.force)


def test_conformers_do_not_know_of_each_other(springs):
    potential, numbers, bonded, x = starts(springs)
    together = relax(potential, numbers, 0, bonded, x, Descent())
    for row in range(len(x)):
        alone = relax(potential, numbers, 0, bonded, x[row : row + 1], Descent())
        torch.testing.assert_close(alone.x[0], together.x[row], atol=1e-8, rtol=0)


def test_start_at_a_minimum_is_left_alone(springs):
    potential, numbers, bonded, x = starts(springs)
    minima = relax(potential, numbers, 0, bonded, x, Descent(force=0.01, steps=60))
    potential.calls = 0
    again = relax(potential, numbers, 0, bonded, minima.x.numpy(), Descent(force=0.01))
    assert torch.equal(again.x, minima.x)
    assert potential.calls == 1


def test_steps_are_bounded_and_the_force_tells(springs):
    potential, numbers, bonded, x = starts(springs, size=0.15)
    minima = relax(potential, numbers, 0, bonded, x, Descent(force=1e-6, steps=2))
    assert (minima.force > 1e-6).all()
    assert potential.calls <= 4


def test_hopelessly_high_conformers_are_left_where_they_are(springs):
    potential, numbers, bonded, x = starts(springs, count=2, size=0.0)
    low = relax(potential, numbers, 0, bonded, x[:1], Descent(force=0.001, steps=60)).x.numpy()
    x = np.concatenate((low, low * np.array([1.8, 1, 1])))  # stretched: far up
    few, many = (relax(potential, numbers, 0, bonded, x, Descent(force=1e-9, steps=n, window=1e-9)) for n in (7, 20))
    assert torch.equal(few.x[1], many.x[1])
    assert many.force[1] > 1e-3
