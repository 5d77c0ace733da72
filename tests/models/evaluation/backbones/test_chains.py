import numpy as np
import pytest

from models.data.backbones import TEST, VALIDATION
from models.errors import DataError
from models.evaluation.backbones.chains import EDGES, Group, filled_bins, natives, per_length, with_noise


def blank(*lengths):
    return Group("samples", tuple(np.zeros((n, 4, 3)) for n in lengths))


def test_per_length_keeps_the_order():
    calls = []

    def first_numbers(x):
        calls.append(x.shape)
        return x[:, 0, 0, 0]

    chains = tuple(np.full((n, 4, 3), k) for k, n in enumerate((9, 12, 9, 10)))
    assert per_length(Group("mixed", chains), first_numbers) == [0, 1, 2, 3]
    assert sorted(calls) == [(1, 10, 4, 3), (1, 12, 4, 3), (2, 9, 4, 3)]


def test_bins_are_those_with_members():
    assert filled_bins(blank(64, 100, 111, 64), EDGES) == [(56, 72), (90, 112)]
    assert filled_bins(blank(56), EDGES) == [(56, 72)] and filled_bins(blank(55), EDGES) == [(40, 56)]


@pytest.mark.parametrize(("lengths", "edges"), [((39,), EDGES), ((257,), EDGES), ((50,), (60, 40)), ((50,), (50,))])
def test_lengths_outside_of_the_bins_are_refused(lengths, edges):
    with pytest.raises(DataError, match="edges"):
        filled_bins(blank(*lengths), edges)


def test_noise_has_the_size_that_was_asked_for(some):
    noisy = with_noise(some, 0.3, seed=5)
    moves = np.concatenate([(a - b).ravel() for a, b in zip(noisy.chains, some.chains, strict=True)])
    assert np.std(moves) == pytest.approx(0.3, rel=0.05)
    assert noisy.name == "some + 0.3 Å noise"
    np.testing.assert_array_equal(with_noise(some, 0.3, seed=5).chains[0], noisy.chains[0])


def test_selections_are_of_the_right_chains(split_chains, some):
    valid = natives("v", split_chains, split_chains.split == VALIDATION)
    assert len(valid) == 4 and len(natives("t", split_chains, split_chains.split == TEST)) == 2
    np.testing.assert_array_equal(valid.lengths, split_chains.lengths[split_chains.split == VALIDATION])
    assert list(some.between(64, 65).lengths) == [64, 64]
    assert list(some.only([False, True, False, False, False, True]).lengths) == [64, 59]
    assert list(some.at_most(3).lengths) == [some.lengths[0], some.lengths[2], some.lengths[4]]
    assert some.at_most(6) is some
