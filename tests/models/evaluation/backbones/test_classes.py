from dataclasses import replace

import numpy as np
import pytest
import torch

from models.errors import DataError
from models.evaluation.backbones.chains import Group, with_noise
from models.evaluation.backbones.classes import FEATURES, frechet_distance, train_classes


@pytest.fixture(scope="module")
def model(split_chains):
    return train_classes(split_chains, seed=0)


def test_training_chains_are_told_apart(model, split_chains):
    labelled = (split_chains.split == 0) & (split_chains.fold > 0)
    group = Group("train", tuple(split_chains.chain(int(k)).astype(float) for k in np.flatnonzero(labelled)))
    classes, features = model(group)
    right = classes.argmax(1) == split_chains.fold[labelled].astype(int) - 1
    assert right.mean() > 0.9
    np.testing.assert_allclose(classes.sum(1), 1, atol=1e-5)
    assert features.shape == (labelled.sum(), FEATURES)


def test_card_tells_what_was_held_out(model, split_chains):
    card = model.card()
    assert card["held_out"] == int(((split_chains.split == 1) & (split_chains.fold > 0)).sum())
    assert 0 <= card["accuracy"] <= 1 and 0 < card["majority"] <= 1
    labelled = (split_chains.split == 0) & (split_chains.fold > 0)
    assert card["trained_on"] == len(np.unique(split_chains.cluster[labelled]))


def test_same_seed_gives_the_same_classifier(model, split_chains, some):
    state = torch.get_rng_state()
    again = train_classes(split_chains, seed=0)
    assert torch.equal(state, torch.get_rng_state())
    np.testing.assert_array_equal(model(some)[0], again(some)[0])


def test_set_without_labels_is_refused(split_chains):
    with pytest.raises(DataError, match="no training chain of the set has a SCOPe class"):
        train_classes(replace(split_chains, fold=np.zeros_like(split_chains.fold)), seed=0)


def test_frechet_distance_of_known_gaussians():
    rng = np.random.default_rng(0)
    first = rng.normal(size=(200_000, 3)) * [1, 2, 3]
    second = rng.normal(size=(200_000, 3)) * [2, 2, 1] + [0, 3, 0]
    # commuting covariances: squared distance of means plus of standard deviations
    assert frechet_distance(first, second) == pytest.approx(9 + 1 + 0 + 4, rel=0.02)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(first[:1], second) is None


def test_noise_is_further_than_nothing(model, some):
    natural = model(some)[1]
    assert frechet_distance(model(with_noise(some, 0.6, 0))[1], natural) > 1e-3
