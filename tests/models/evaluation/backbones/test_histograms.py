import numpy as np
import pytest

from models.data.peptides import SECONDARY
from models.evaluation.backbones.chains import Group
from models.evaluation.backbones.histograms import (
    ANGLE_BINS,
    count,
    distance_counts,
    divergence,
    divergence_change,
    divergence_with_interval,
    rg_counts,
    secondary_counts,
    torsion_counts,
)  # fmt: skip


def test_divergence_is_zero_for_equal_and_one_for_disjoint_shares():
    assert divergence(np.array([2, 4, 0]), np.array([1, 2, 0])) == 0
    assert divergence(np.array([3, 0]), np.array([0, 5])) == 1


def test_divergence_worked_out_by_hand():
    # (1, 0) and (1/2, 1/2): middle (3/4, 1/4); half of log2(4/3) and half of 1/2 log2(2/3) + 1/2 log2(2)
    expected = 0.5 * np.log2(4 / 3) + 0.25 * (np.log2(2 / 3) + 1)
    assert divergence(np.array([7, 0]), np.array([5, 5])) == pytest.approx(expected)
    assert divergence(np.array([5, 5]), np.array([7, 0])) == pytest.approx(expected)


def test_divergence_of_nothing_is_unknown():
    assert np.isnan(divergence(np.zeros(2), np.ones(2)))
    assert divergence_with_interval(np.zeros((0, 2)), np.ones((1, 2))) is None


def test_interval_holds_the_value_and_shrinks_with_more_chains():
    rng = np.random.default_rng(0)
    reference = rng.multinomial(60, [0.4, 0.2, 0.4], size=200)
    few, many = (rng.multinomial(60, [0.6, 0.1, 0.3], size=size) for size in (6, 200))
    spans = [divergence_with_interval(counts, reference) for counts in (few, many)]
    for value, low, high in spans:
        assert 0 <= low <= value <= high
    assert spans[1][2] - spans[1][1] < spans[0][2] - spans[0][1]


def test_secondary_structure_is_that_of_the_set(backbones, some):
    counts = np.array([secondary_counts(chain[None])[0] for chain in some.chains])
    assert (counts.sum(1) == some.lengths).all()
    known = [[np.sum(backbones.secondary[backbones.offsets[k] : backbones.offsets[k + 1]] == s) for s in range(3)]
             for k in (10, 12, 4, 11, 18, 3)]  # fmt: skip
    assert SECONDARY == "HEC"
    assert np.abs(counts - np.array(known)).sum() / 2 < 0.1 * some.lengths.sum()


def test_counts_do_not_depend_on_place_or_company(some, turned):
    moved = Group("moved", tuple(turned(chain) for chain in some.chains[::-1]))
    first, second = count(some), count(moved)
    for name, values in vars(first).items():
        assert np.abs(values - getattr(second, name)[::-1]).sum() <= 6, name  # what sits on the edge of a bin may move


def test_every_residue_and_pair_is_counted_once(some):
    chain = some.chains[0]
    length = len(chain)
    assert torsion_counts(chain[None]).sum() == length - 2
    assert distance_counts(chain[None]).sum() == (length - 2) * (length - 3) / 2
    assert count(some).content.sum(1).tolist() == [1.0] * len(some)


def test_angles_are_counted_where_they_are(some):
    table = torsion_counts(some.chains[0][None]).reshape(ANGLE_BINS, ANGLE_BINS)
    mirrored = torsion_counts(some.chains[0][None] * [-1, 1, 1]).reshape(ANGLE_BINS, ANGLE_BINS)
    np.testing.assert_array_equal(table, mirrored[::-1, ::-1])  # a mirror image changes the sign of both
    assert table[:12].sum() > table[12:].sum()  # phi is negative


def test_faulty_chains_are_counted_nowhere(some):
    broken = some.chains[0].copy()
    broken[5, 1] = np.inf
    counts = count(Group("broken", (broken, np.full_like(broken, np.nan))))
    assert counts.shares[:, SECONDARY.index("C")].tolist() == [1.0, 1.0]
    assert counts.distances[1].sum() == 0 and counts.torsions[1].sum() == 0
    assert counts.distances[0].sum() < distance_counts(some.chains[0][None]).sum()


def test_radii_beyond_the_scale_are_in_the_outer_bins():
    counts = rg_counts(np.array([0.1, 1.01, 9.0]))
    assert counts[0, 0] == counts[2, -1] == counts[1, 4] == 1 and counts.sum() == 3


def test_empty_group_has_empty_counts():
    counts = count(Group("none", ()))
    assert counts.torsions.shape == (0, ANGLE_BINS**2) and counts.shares.shape == (0, 3)


def test_change_of_divergence_is_that_of_the_two_and_has_the_other_sign_the_other_way():
    rng = np.random.default_rng(0)
    reference, near, far = (rng.multinomial(60, p, size=30) for p in ([0.4, 0.6], [0.45, 0.55], [0.8, 0.2]))
    value, low, high = divergence_change(far, near, reference)
    pooled = reference.sum(0)
    assert value == pytest.approx(divergence(far.sum(0), pooled) - divergence(near.sum(0), pooled))
    assert 0 < low < value < high
    assert divergence_change(near, far, reference) == pytest.approx((-value, -high, -low))
    assert divergence_change(far, far, reference) == (0, 0, 0)
    assert divergence_change(np.zeros((0, 2)), np.zeros((0, 2)), reference) is None


def test_change_of_divergence_takes_chains_of_one_seed_together():
    rng = np.random.default_rng(0)
    reference = rng.multinomial(60, [0.4, 0.6], size=30)
    counts = np.array([rng.multinomial(60, [p, 1 - p]) for p in np.linspace(0.3, 0.9, 30)])
    alike = np.clip(counts - [2, -2], 0, 60)  # each chain like its partner, though the chains are various
    spans = [divergence_change(counts, base, reference) for base in (alike, alike[::-1])]
    assert spans[0][2] - spans[0][1] < 0.5 * (spans[1][2] - spans[1][1])
