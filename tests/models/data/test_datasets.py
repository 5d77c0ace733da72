from dataclasses import fields

import numpy as np
import pytest

from models.data.datasets import (
    PackedSet,
    ReferenceMolecule,
    featurise,
    flat_smiles,
    load_packed,
    pack,
    read_excluded,
    read_set,
    save_packed,
)
from models.data.features import build_features
from models.data.molecule import read_smiles
from models.errors import DataError


def write_set(path, references, **changes):
    """A set in the layout that `read_set` expects."""
    columns = {
        "smiles": np.array([r.smiles for r in references]),
        "natom": np.array([len(r.numbers) for r in references]),
        "nconf": np.array([len(r.coordinates) for r in references]),
        "z": np.concatenate([r.numbers for r in references]),
        "pos": np.concatenate([r.coordinates.reshape(-1, 3) for r in references]).astype(np.float32),
    }
    np.savez(path, **{k: v for k, v in {**columns, **changes}.items() if v is not None})


def doubled(reference):
    """The same molecule with a second conformer, shifted."""
    return ReferenceMolecule(
        reference.smiles, reference.numbers, np.concatenate([reference.coordinates, reference.coordinates + 1])
    )


def test_set_is_read_in_its_layout(tmp_path, references):
    given = [references[0], doubled(references[14]), references[2]]
    write_set(tmp_path / "set.npz", given)
    read = list(read_set(tmp_path / "set.npz"))
    assert [r.smiles for r in read] == [r.smiles for r in given]
    for a, b in zip(read, given, strict=True):
        assert (a.numbers == b.numbers).all()
        np.testing.assert_allclose(a.coordinates, b.coordinates, atol=1e-6)


def test_missing_set_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nothing\.npz"):
        list(read_set(tmp_path / "nothing.npz"))
    with pytest.raises(DataError, match=r"nothing\.csv"):
        read_excluded([tmp_path / "nothing.csv"])
    with pytest.raises(DataError, match=r"nothing\.npz"):
        read_excluded([tmp_path / "nothing.npz"])


def test_missing_keys_are_named(tmp_path, references):
    write_set(tmp_path / "set.npz", references[:1], z=None, pos=None)
    with pytest.raises(DataError, match="lacks z, pos; expected the keys smiles, natom, nconf, z, pos"):
        list(read_set(tmp_path / "set.npz"))


def test_flat_smiles_forgets_stereo_and_spelling():
    assert flat_smiles("C[C@H](N)C(=O)O") == flat_smiles("OC(=O)[C@H](N)C") == flat_smiles("CC(N)C(O)=O")
    assert flat_smiles("C/C=C/C") == flat_smiles("C/C=C\\C")
    assert flat_smiles("CCO") != flat_smiles("CCN")
    assert flat_smiles("not a molecule") is None


def test_excluded_is_read_from_sets_and_tables(tmp_path, references):
    write_set(tmp_path / "test.npz", references[2:4])
    (tmp_path / "test.csv").write_text("smiles,n,other\nC[C@H](N)C=O,12,1.5\nC1CC1,3,OCC#N\n")
    excluded = read_excluded([tmp_path / "test.npz", tmp_path / "test.csv"])
    assert {flat_smiles(s) for s in ("CCO", "C=C", "CC(N)C=O", "C1CC1", "N#CCO")} <= excluded
    assert "C" not in excluded


def test_features_are_those_of_the_smiles_atom_order(references):
    for reference in references:
        features, x = featurise(reference, frozenset())
        expected = build_features(read_smiles(reference.smiles))
        for name in ("tokens", "pairs", "bonded", "quadruples"):
            assert (getattr(features, name) == getattr(expected, name)).all(), reference.smiles
        assert x.dtype == np.float32
        np.testing.assert_allclose(x.mean(0), 0, atol=1e-6)


def test_handedness_is_read_off_the_coordinates(references):
    chiral = next(r for r in references if "@" in r.smiles)
    right, _ = featurise(chiral, frozenset())
    left, x = featurise(ReferenceMolecule(chiral.smiles, chiral.numbers, -chiral.coordinates), frozenset())
    assert left.quadruples.tolist() == right.quadruples[:, [1, 0, 2, 3]].tolist()
    a, b, c, d = x[left.quadruples[0]]
    assert np.dot(a - d, np.cross(b - d, c - d)) > 0


@pytest.mark.parametrize("given", ["C[C@H](N)C=O", "C[C@@H](N)C=O", "O=CC(C)N"])
def test_excluded_molecule_is_left_out_in_every_spelling(references, given):
    excluded = frozenset({flat_smiles(given)})
    for sign in (1, -1):
        chiral = next(r for r in references if "@" in r.smiles)
        smiles = chiral.smiles if sign > 0 else chiral.smiles.replace("@", "@@")
        assert featurise(ReferenceMolecule(smiles, chiral.numbers, chiral.coordinates), excluded) == "test_molecule"


def test_pack_counts_every_reason(references):
    odd = ReferenceMolecule("CC", references[0].numbers, references[0].coordinates)
    unreadable = ReferenceMolecule("C1C", references[0].numbers, references[0].coordinates)
    blocks, counts = pack([*references, odd, unreadable], {flat_smiles("CCO"), flat_smiles("CC(N)C=O")}, (8, 12), 1)
    assert counts == {"kept": 18, "test_molecule": 2, "atom_count": 1, "unreadable": 1}
    assert [block.tokens.shape[1] for block in blocks] == [8, 12]
    assert sum(len(block.counts) for block in blocks) == 18
    assert all(block.counts.max() <= block.tokens.shape[1] for block in blocks)
    blocks, counts = pack(references, (), (6,), 1)
    assert counts["too_large"] + counts["kept"] == 20
    assert len(blocks) == 1
    assert blocks[0].counts.max() <= 6


def test_pack_keeps_features_and_coordinates(packed, references):
    expected = sorted((featurise(r, frozenset()) for r in references), key=lambda pair: len(pair[1]) > 8)
    rows = [(block, row) for block in packed for row in range(len(block.counts))]
    for (block, row), (features, x) in zip(rows, expected, strict=True):
        n = block.counts[row]
        assert n == len(x)
        assert (block.tokens[row, :n] == features.tokens).all()
        assert (block.pairs[row, :n, :n] == features.pairs).all()
        assert (block.coordinates[row, :n] == x).all()
        assert not block.coordinates[row, n:].any()
        assert (block.quadruples[row][block.quadruples[row, :, 0] >= 0] == features.quadruples).all()


def test_packed_set_survives_its_file(tmp_path, packed):
    save_packed(tmp_path / "packed.npz", packed)
    again = load_packed(tmp_path / "packed.npz")
    assert len(again) == len(packed) == 2
    for a, b in zip(again, packed, strict=True):
        assert a.arrays().keys() == b.arrays().keys() >= {f.name for f in fields(PackedSet)} - {"automorphisms"}
        for name, array in b.arrays().items():
            assert a.arrays()[name].dtype == array.dtype
            assert (a.arrays()[name] == array).all()


def test_unsupported_molecule_is_counted_and_not_fatal():
    numbers = np.array([3, 1], dtype=np.uint8)
    result = featurise(ReferenceMolecule("[LiH]", numbers, np.zeros((1, 2, 3))), frozenset())
    assert isinstance(result, str)


def test_file_that_is_no_archive_is_named(tmp_path):
    (tmp_path / "set.npz").write_text("hello")
    with pytest.raises(DataError, match=r"set\.npz"):
        list(read_set(tmp_path / "set.npz"))
