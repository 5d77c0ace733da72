import numpy as np
import pytest
import torch

from models.experiments.denoising import COUPLINGS, TIMES, build_pairs, measure_errors, weighted
from models.samplers.prior import build_prior

PRIOR = build_prior("gaussian", 1.0)


def built(targets, coupling, seed=0):
    return build_pairs(targets, PRIOR, coupling, 2, seed)


def test_couplings_share_their_ends_and_bring_them_closer(targets):
    parts = {coupling: built(targets, coupling) for coupling in COUPLINGS}
    for none, kabsch, renumbered in zip(*(parts[c] for c in COUPLINGS), strict=True):
        assert torch.equal(none.x_data, kabsch.x_data) and torch.equal(none.x_data, renumbered.x_data)
        far = [(p.x_noise - p.x_data).square().sum((1, 2)) for p in (none, kabsch, renumbered)]
        assert (far[1] < far[0] + 1e-4).all() and (far[2] < far[1] + 1e-4).all()
        assert far[2].sum() < 0.99 * far[1].sum() < 0.9 * far[0].sum()


def test_pairs_are_a_function_of_the_seed(targets):
    first, again, other = (torch.cat([p.x_noise.flatten() for p in built(targets, "none", s)]) for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_every_molecule_has_its_pairs(targets):
    members = torch.cat([part.molecules for part in built(targets, "none")])
    assert members.sort().values.tolist() == [m for m in range(len(targets)) for _ in range(2)]


@pytest.mark.parametrize("coupling", COUPLINGS)
def test_error_of_a_guess_that_changes_nothing_is_known(targets, guessing, coupling):
    pairs = built(targets, coupling)
    found = measure_errors(guessing(lambda x, t: x), pairs, len(targets))
    far = np.zeros(len(targets))
    for part in pairs:
        mean = (part.x_noise - part.x_data).square().sum((1, 2)) / (3 * part.batch.token_mask.sum(1))
        np.add.at(far, part.molecules.numpy(), mean.numpy() / 2)
    np.testing.assert_allclose(found["plain"], np.outer((1 - np.array(TIMES)) ** 2, far), rtol=1e-4)
    if coupling == "none":
        assert (found["quotient"] < found["plain"]).all()
    else:  # the velocity of coupled pairs is horizontal already
        np.testing.assert_allclose(found["quotient"], found["plain"], rtol=1e-3)
    assert (found["aligned"] < found["plain"] + 1e-6).all()


def test_perfect_guess_has_no_error_but_its_turn(targets, knowing):
    found = measure_errors(knowing(targets[0]), built(targets[:1], "none"), 1)
    assert found["aligned"].max() < 1e-8
    assert found["plain"][0] > found["plain"][-1]


def test_weight_is_that_of_training():
    errors = np.ones((len(TIMES), 2))
    errors[-1, 1] = 2
    np.testing.assert_allclose(weighted(errors), [np.mean([1 / (1 - t) ** 2 for t in TIMES])] * 2 + np.array([0, 20]))
