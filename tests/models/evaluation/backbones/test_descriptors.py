import numpy as np

from models.evaluation.backbones.descriptors import describe_folds


def test_descriptors_do_not_depend_on_place_or_company(some, turned):
    both = np.stack((some.chains[0], some.chains[1]))
    alone, together = describe_folds(turned(some.chains[0])[None]), describe_folds(both)
    np.testing.assert_allclose(alone[0], together[0], atol=0.15)  # what sits on the edge of a bin may move
    assert np.abs(alone[0] - together[0]).mean() < 1e-3
    assert np.abs(together[0] - together[1]).mean() > 0.01


def test_every_length_has_the_same_number_of_descriptors(some):
    sizes = {describe_folds(chain[None]).shape for chain in some.chains}
    assert len(sizes) == 1


def test_directions_of_neighbours_are_told_apart():
    # two straight strands side by side, 5 Å apart, the second one or the other way
    strand = np.zeros((10, 4, 3))
    strand[:, :, 0] = 3.5 * np.arange(10)[:, None] + np.array([-1.2, 0.0, 1.2, 1.5])
    strand[:, :, 2] += np.array([0.3, 0.0, 0.4, 1.4]) * (-1.0) ** np.arange(10)[:, None]
    beside = strand + np.array([0.0, 5.0, 0.0])
    parallel, anti = (describe_folds(np.concatenate((strand, other))[None])[0] for other in (beside, beside[::-1]))
    contacts = slice(12 * 12, 12 * 12 + 32)
    table = [found[contacts].reshape(8, 4).sum(0) for found in (parallel, anti)]
    assert table[0].argmax() == 3 and table[1].argmax() == 0


def test_contacts_are_those_counted_by_hand(some):
    alpha = some.chains[0][:, 1]
    distance = np.linalg.norm(alpha[:, None] - alpha[None], axis=-1)
    expected = np.sum(np.triu(distance < 7, 3)) / len(alpha)
    found = np.square(describe_folds(some.chains[0][None])[0, 144:176]).sum()
    np.testing.assert_allclose(found, expected, rtol=1e-5)
