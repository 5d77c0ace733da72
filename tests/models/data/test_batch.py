import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.data.batch import pad, split_by_size

SMILES = ("C", "C[C@H](N)C(=O)O", "C/C=C/C", "O[C@H](F)[C@@H](Cl)Br")


def test_pad_then_cut_gives_the_features_back(molecule_of):
    items = [molecule_of(s).features for s in SMILES]
    for size in (None, 24):
        batch = pad(items, size)
        assert len(batch) == 4
        assert batch.tokens.shape == (4, size or 13, 8)
        for row, item in enumerate(items):
            n = item.num_tokens
            assert (batch.tokens[row, :n].numpy() == item.tokens).all()
            assert (batch.pairs[row, :n, :n].numpy() == item.pairs).all()
            assert (batch.bonded[row, :n, :n].numpy() == item.bonded).all()
            assert (batch.quadruples[row][batch.quadruple_mask[row]].numpy() == item.quadruples).all()
            assert batch.token_mask[row].tolist() == [True] * n + [False] * (batch.token_mask.shape[1] - n)


def test_padding_is_zero(molecule_of):
    batch = pad([molecule_of("C").features, molecule_of("C[C@H](N)C(=O)O").features], 16)
    for tensor in (batch.tokens[0, 5:], batch.pairs[0, 5:], batch.pairs[0, :, 5:], batch.bonded[0, 5:]):
        assert not tensor.any()
    assert not batch.quadruple_mask[0].any()
    assert batch.quadruples.max() < 13


def test_batch_without_stereo_has_an_empty_quadruple_axis_of_one(molecule_of):
    batch = pad([molecule_of("C").features])
    assert batch.quadruples.shape == (1, 1, 4)
    assert not batch.quadruple_mask.any()


def test_dtypes_are_those_the_network_indexes_with(molecule_of):
    batch = pad([molecule_of("C").features])
    kinds = [getattr(batch, name).dtype for name in ("tokens", "pairs", "quadruples", "bonded", "token_mask")]
    assert kinds == [torch.int64] * 3 + [torch.bool] * 2


COUNTS = st.lists(st.integers(1, 256), max_size=60)


@settings(deadline=None)
@given(COUNTS, st.integers(64, 200_000), st.sampled_from([1, 4, 8]))
def test_split_holds_every_item_once_and_keeps_the_budget(counts, budget, step):
    batches = split_by_size(counts, budget, step)
    assert sorted(k for batch in batches for k in batch) == list(range(len(counts)))
    for batch in batches:
        widths = {-(-counts[k] // step) * step for k in batch}
        assert len(widths) == 1
        assert len(batch) == 1 or len(batch) * widths.pop() ** 2 <= budget


@settings(deadline=None)
@given(COUNTS)
def test_split_fills_its_batches(counts):
    budget = 10 * 64**2
    batches = split_by_size(counts, budget)
    padded = [-(-counts[batch[0]] // 8) * 8 for batch in batches]
    assert padded == sorted(padded)
    for width, following, batch in zip(padded, padded[1:], batches, strict=False):
        assert width != following or (len(batch) + 1) * width**2 > budget


def test_split_of_nothing_is_nothing():
    assert split_by_size([], 100) == []
    assert split_by_size(np.array([3]), 1) == [[0]]
