import numpy as np
import pytest

from models.data.datasets import read_set
from models.errors import DataError
from models.labels.label import Labelled
from models.labels.shards import merge_sets, read_header, save_set


def made(smiles, atoms, conformers, guesses, seed=0):
    rng = np.random.default_rng(seed)
    x, rough = (rng.normal(scale=3, size=(n, atoms, 3)).astype(np.float32) for n in (conformers, guesses))
    return Labelled(smiles, np.full(atoms, 6, dtype=np.uint8), x, np.arange(conformers, dtype=np.float32), rough)


def test_set_is_read_as_training_data(tmp_path):
    given = [made("CC", 8, 3, 5), made("C", 5, 1, 2, seed=1)]
    save_set(tmp_path / "set.npz", given, {"method": "test"})
    for read, expected in zip(read_set(tmp_path / "set.npz"), given, strict=True):
        assert read.smiles == expected.smiles
        assert (read.numbers == expected.numbers).all()
        np.testing.assert_allclose(read.coordinates, expected.x, atol=6e-4)
        np.testing.assert_allclose(read.guesses, expected.guesses, atol=6e-4)
    assert read_header(tmp_path / "set.npz") == {"method": "test"}


def test_joined_sets_hold_each_molecule_once(tmp_path):
    first, second, third = made("CC", 8, 3, 5), made("C", 5, 1, 2), made("CCC", 11, 2, 4)
    save_set(tmp_path / "a.npz", [first, second], {})
    save_set(tmp_path / "b.npz", [made("CC", 8, 2, 1, seed=9), third], {})
    assert merge_sets(tmp_path / "all.npz", [tmp_path / "a.npz", tmp_path / "b.npz"], {"n": 3}) == 3
    read = list(read_set(tmp_path / "all.npz"))
    assert [r.smiles for r in read] == ["CC", "C", "CCC"]
    for r, expected in zip(read, (first, second, third), strict=True):
        np.testing.assert_allclose(r.coordinates, expected.x, atol=6e-4)
        np.testing.assert_allclose(r.guesses, expected.guesses, atol=6e-4)
    with np.load(tmp_path / "all.npz") as data:
        assert data["energy"].tolist() == [0, 1, 2, 0, 0, 1]


def test_joining_nothing_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no molecule was labelled"):
        merge_sets(tmp_path / "all.npz", [], {})
    assert not (tmp_path / "all.npz").exists()
