import numpy as np
import pytest

from models.evaluation.backbones.chains import Group, with_noise
from models.evaluation.backbones.similarity import cluster_count, diversity, mean_with_interval, tm_scores


def test_score_is_one_for_the_same_shape_wherever_it_is(some, turned):
    chain = some.chains[0]
    assert tm_scores(chain, turned(chain)) == pytest.approx((1.0, 1.0), abs=1e-3)


def test_part_of_a_chain_scores_one_over_its_own_length(some):
    whole = some.chains[0]
    part, full = tm_scores(whole[10:50], whole)
    assert part == pytest.approx(1.0, abs=1e-3) and full == pytest.approx(40 / 64, abs=0.02)


def test_mirror_image_is_another_shape(some):
    assert tm_scores(some.chains[0], some.chains[0] * [-1, 1, 1])[0] < 0.75


def test_diversity_tells_copies_from_different_folds(some):
    near = with_noise(Group("copies", (some.chains[0],) * 4), 0.2, seed=0)
    copies, folds = diversity(near), diversity(some.at_most(4))
    assert copies.mean_tm > 0.9 and copies.clusters == 1
    assert folds.mean_tm < 0.5 and folds.clusters > 1
    assert diversity(Group("one", some.chains[:1])).mean_tm is None


def test_chains_are_joined_through_others():
    matrix = np.eye(6)
    for i, j in ((0, 3), (3, 5), (5, 1)):
        matrix[i, j] = matrix[j, i] = 0.6
    matrix[2, 4] = matrix[4, 2] = 0.5  # not above
    assert cluster_count(matrix) == 3
    assert cluster_count(np.eye(0)) == 0 and cluster_count(np.eye(1)) == 1


def test_long_chain_of_neighbours_is_one_cluster():
    matrix = np.eye(40) + np.eye(40, k=1) + np.eye(40, k=-1)
    assert cluster_count(matrix) == 1


def test_interval_of_equal_scores_is_a_point():
    matrix = np.full((5, 5), 0.3)
    np.fill_diagonal(matrix, 1.0)
    assert mean_with_interval(matrix, 200, (2.5, 97.5)) == pytest.approx((0.3, 0.3))
    assert mean_with_interval(np.eye(1), 10, (2.5, 97.5)) is None
