import numpy as np
import pytest

from models.data.datasets import ReferenceMolecule, flat_smiles, read_excluded, read_set
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


def test_file_that_is_no_archive_is_named(tmp_path):
    (tmp_path / "set.npz").write_text("hello")
    with pytest.raises(DataError, match=r"set\.npz"):
        list(read_set(tmp_path / "set.npz"))


def test_guesses_and_whole_lengths_are_read(tmp_path, references):
    given = [references[0], doubled(references[14]), references[2]]
    positions = np.concatenate([r.coordinates.reshape(-1, 3) for r in given])
    guesses = np.concatenate(
        [given[1].coordinates[:1].reshape(-1, 3), given[2].coordinates.repeat(2, 0).reshape(-1, 3)]
    )
    write_set(
        tmp_path / "set.npz",
        given,
        pos=np.rint(positions * 1000).astype(np.int16),
        nguess=np.array([0, 1, 2]),
        guess=np.rint((guesses + 1) * 1000).astype(np.int16),
        unit_ang=0.001,
    )
    read = list(read_set(tmp_path / "set.npz"))
    for a, b in zip(read, given, strict=True):
        np.testing.assert_allclose(a.coordinates, b.coordinates, atol=6e-4)
    assert read[0].guesses is None
    np.testing.assert_allclose(read[1].guesses, given[1].coordinates[:1] + 1, atol=6e-4)
    assert read[2].guesses.shape == (2, *given[2].coordinates.shape[1:])
