import numpy as np

from models.evaluation.conformers import Sampled, Target
from models.evaluation.tally import Tally, tally, tally_sampled


def test_tally_counts_faults_stereo_and_what_is_missing(molecule_of, structure_of):
    molecule = molecule_of("C[C@H](N)C(=O)O")
    x = structure_of(molecule)
    mirror = x * [-1, 1, 1]
    counted = tally(molecule, [x, mirror, 2 * x, 2 * mirror, x * np.nan], ["no_guess"])
    assert counted == Tally(6, 1, 6, 2, {"broken_bond": 2, "no_guess": 1, "not_finite": 1, "wrong_stereo": 1})
    plain = molecule_of("CCO")
    assert tally(plain, [structure_of(plain)], []) == Tally(1, 1, 0, 0, {})
    assert tally(plain, [], ["embedding_timeout"] * 2) == Tally(2, 0, 0, 0, {"embedding_timeout": 2})


def test_samples_that_are_missing_count_as_wrong(molecule_of, structure_of):
    molecule = molecule_of("C[C@H](N)C(=O)O")
    x = structure_of(molecule)
    target = Target(molecule, x[None], 3, 1)
    assert tally_sampled(Sampled(target, x[None])) == Tally(3, 1, 3, 1, {"embedding_failed": 2})
    assert tally_sampled(Sampled(target, x[None][:0], "no_guess")) == Tally(3, 0, 3, 0, {"no_guess": 3})


def test_tallies_add_up():
    first, second = Tally(3, 1, 3, 2, {"clash": 2}), Tally(2, 1, 0, 0, {"clash": 1})
    assert first + second == Tally(5, 2, 3, 2, {"clash": 3})
