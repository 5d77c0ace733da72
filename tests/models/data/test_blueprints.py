import numpy as np
import pytest
import torch

from models.data.batch import pad
from models.data.blueprints import Wish, build_blueprint, residue_features
from models.data.residues import Conditions, build_residues, no_conditions
from models.errors import BackboneError


def test_features_of_a_chain_are_those_of_training():
    batch = pad([residue_features(9), residue_features(14)])
    expected = build_residues(torch.tensor([9, 14]), 14, no_conditions(2, 14))
    for name in ("tokens", "pairs", "bonded", "token_mask"):
        assert torch.equal(getattr(batch, name), getattr(expected, name)), name


def test_wishes_reach_the_network():
    wish = Wish(helix=0.4, strand=0.2, fold="c", secondary="HHH--EEEC")
    batch = pad([residue_features(9, wish)])
    secondary = torch.tensor([[1, 1, 1, 0, 0, 2, 2, 2, 3]])
    asked = Conditions(torch.tensor([0.4]), torch.tensor([0.2]), torch.tensor([3]), secondary)
    assert torch.equal(batch.tokens, build_residues(torch.tensor([9]), 9, asked).tokens)


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (Wish(helix=1.2), "helix is 1.2; allowed: 0 to 1"),
        (Wish(strand=-0.1), "strand is -0.1; allowed: 0 to 1"),
        (Wish(helix=0.7, strand=0.6), "more than 1 together"),
        (Wish(fold="x"), "fold is 'x'; allowed: a, b, c, d, e, f, g"),
        (Wish(fold=""), "fold is ''"),
        (Wish(secondary="HHB"), "the letters B; allowed: H, E, C"),
        (Wish(secondary="HHHH"), "4 letters for 3 residues"),
    ],
)
def test_wishes_that_cannot_be_are_refused_in_words(wish, words):
    with pytest.raises(BackboneError, match=words):
        build_blueprint("x", 3, wish)


def test_structures_must_have_the_length():
    with pytest.raises(BackboneError, match="start has 5 residues, the length is 6"):
        build_blueprint("x", 6, start=np.zeros((5, 4, 3)))


@pytest.mark.parametrize("count", [0, 2, 6])
def test_motif_is_some_residues_but_not_all(count):
    with pytest.raises(BackboneError, match=f"{count} of 6 residues are fixed"):
        build_blueprint("x", 6, motif=np.zeros((6, 4, 3)), fixed=np.arange(6) < count)


def test_start_is_centred():
    blueprint = build_blueprint("x", 6, start=5 + np.random.default_rng(0).normal(size=(6, 4, 3)))
    np.testing.assert_allclose(blueprint.start.mean((0, 1)), 0, atol=1e-6)
    assert blueprint.start.dtype == np.float32
