import numpy as np
import pytest

from models.data.datasets import ReferenceMolecule, flat_smiles
from models.experiments.holdout import hold_out

SIZES = range(5, 21)


def molecules(smiles):
    return [ReferenceMolecule(text, np.zeros(size), np.zeros((1, size, 3))) for text, size in smiles]


@pytest.fixture(scope="module")
def alkanes():
    """Forty molecules of eleven atoms, twelve of eight, two of five, three of thirty."""
    chains = [(f"{'C' * k}{'N' * (40 - k)}", 11) for k in range(40)]
    return molecules(
        [*chains, *((f"{'O' * k}C", 8) for k in range(1, 13)), ("CF", 5), ("C", 5), *(("S" * k, 30) for k in (1, 2, 3))]
    )


def keys(part):
    return {flat_smiles(molecule.smiles) for molecule in part}


def test_held_out_molecules_are_known_by_their_keys(alkanes):
    held = hold_out(alkanes, set(), 10, 2, SIZES)
    assert len(held.validation) == 10
    assert keys(held.validation) | keys(held.sized) == held.keys
    assert {len(molecule.numbers) for molecule in held.sized} == {8, 11}


def test_no_size_loses_more_than_a_quarter_of_its_molecules(alkanes):
    sizes = [len(molecule.numbers) for molecule in hold_out(alkanes, set(), 0, 5, SIZES).sized]
    assert sizes == [8] * 3 + [11] * 5  # none of the two with five atoms


def test_choice_is_the_same_each_time_and_follows_the_seed(alkanes):
    first, again, other = (hold_out(alkanes, set(), 10, 2, SIZES, seed) for seed in (0, 0, 1))
    assert keys(first.validation) == keys(again.validation) != keys(other.validation)


def test_excluded_molecules_are_not_held_out(alkanes):
    all_keys = keys(alkanes)
    left = set(sorted(all_keys)[:4])
    assert hold_out(alkanes, all_keys - left, 10, 2, SIZES).keys <= left


def test_molecules_that_differ_in_stereo_count_as_one():
    twins = molecules([("C[C@H](F)Cl", 8), ("C[C@@H](F)Cl", 8), ("CC(F)Cl", 8), ("CCC", 11)])
    held = hold_out(twins, set(), 4, 0, SIZES)
    assert len(held.validation) == len(held.keys) == 2
