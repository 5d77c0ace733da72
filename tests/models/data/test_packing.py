from dataclasses import fields, replace

import numpy as np
import pytest

from models.data import mmff
from models.data.datasets import ReferenceMolecule, flat_smiles
from models.data.features import build_features
from models.data.molecule import read_smiles
from models.data.packing import (
    MOST_CONFORMERS,
    GuessOptions,
    PackedSet,
    featurise,
    load_packed,
    pack,
    save_packed,
    visited_rows,
)


def test_features_are_those_of_the_smiles_atom_order(references):
    for reference in references:
        member = featurise(reference, frozenset())
        features, x = member.features, member.coordinates[0]
        expected = build_features(read_smiles(reference.smiles))
        for name in ("tokens", "pairs", "bonded", "quadruples"):
            assert (getattr(features, name) == getattr(expected, name)).all(), reference.smiles
        assert x.dtype == np.float32
        np.testing.assert_allclose(x.mean(0), 0, atol=1e-6)


def test_handedness_is_read_off_the_coordinates(references):
    chiral = next(r for r in references if "@" in r.smiles)
    right = featurise(chiral, frozenset()).features
    mirrored = featurise(ReferenceMolecule(chiral.smiles, chiral.numbers, -chiral.coordinates), frozenset())
    left, x = mirrored.features, mirrored.coordinates[0]
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
    expected = sorted((featurise(r, frozenset()) for r in references), key=lambda m: m.features.num_tokens > 8)
    rows = [(block, row) for block in packed for row in range(len(block.counts))]
    for (block, row), member in zip(rows, expected, strict=True):
        features, x = member.features, member.coordinates[0]
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


def turned(x, angle):
    """Turned about z."""
    c, s = np.cos(angle), np.sin(angle)
    return x @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


@pytest.fixture
def ensemble(references):
    """A molecule with two conformers and three guesses near the second, first, second of them."""
    chiral = next(r for r in references if "@" in r.smiles)
    rng = np.random.default_rng(0)
    first = chiral.coordinates[0].astype(np.float64)
    second = first + rng.normal(scale=0.3, size=first.shape)
    guesses = [
        turned(x, k + 1) + rng.normal(scale=0.02, size=first.shape) + 5 for k, x in enumerate((second, first, second))
    ]
    return ReferenceMolecule(chiral.smiles, chiral.numbers, np.stack((first, second)), np.stack(guesses))


def test_guesses_are_paired_with_the_nearest_conformer(ensemble):
    pairs = featurise(ensemble, frozenset()).pairs
    assert pairs.targets.tolist() == [1, 0, 1]
    np.testing.assert_allclose(pairs.guesses.mean(1), 0, atol=1e-5)
    assert (pairs.rmsd_ang < 0.1).all()


def test_molecules_without_guesses_get_near_ones(references):
    reference = next(r for r in references if r.smiles == "CCO")
    assert not len(featurise(reference, frozenset()).pairs.guesses)
    many, near = (featurise(reference, frozenset(), GuessOptions(embed=9, radius_ang=r)).pairs for r in (9.0, 0.3))
    assert len(many.guesses) == 9 > len(near.guesses) > 0
    assert (near.rmsd_ang <= 0.3).all() and many.rmsd_ang.max() > 0.3
    assert not near.targets.any()


def test_blocks_hold_every_conformer_and_guess_of_a_molecule(references, ensemble):
    blocks, _ = pack([references[0], ensemble, references[3], ensemble], (), (16,), processes=1)
    (block,) = blocks
    assert block.conformers.tolist() == [[0, 1], [1, 2], [3, 1], [4, 2]]
    assert block.guesses_of.tolist() == [[0, 0], [0, 3], [3, 0], [3, 3]]
    assert block.targets.tolist() == [2, 1, 2, 5, 4, 5]
    n = len(ensemble.numbers)
    np.testing.assert_allclose(block.coordinates[4, :n], block.coordinates[1, :n])
    assert not block.coordinates[:, n:][1:3].any() and not block.guesses[:, n:].any()
    centred = ensemble.coordinates[1] - ensemble.coordinates[1].mean(0)
    np.testing.assert_allclose(block.coordinates[2, :n], centred, atol=1e-5)


def test_large_ensembles_keep_their_breadth(ensemble):
    many = ensemble.coordinates[:1] + np.arange(100.0)[:, None, None] * np.eye(len(ensemble.numbers), 3)
    member = featurise(ReferenceMolecule(ensemble.smiles, ensemble.numbers, many), frozenset())
    assert len(member.coordinates) == MOST_CONFORMERS
    for kept, given in ((0, 0), (-1, -1)):
        np.testing.assert_allclose(member.coordinates[kept], many[given] - many[given].mean(0), atol=1e-4)


def test_rare_sizes_and_repeated_sets_are_visited_more_often(references, ensemble):
    (block,), _ = pack([*references, replace(ensemble, visits=5)], (), (16,), processes=1)
    often = np.bincount(visited_rows(block, 0))
    assert sorted(often.tolist()) == [1] * 20 + [5]
    assert often[block.guesses_of[:, 1] > 0].tolist() == [5]
    per_size = np.bincount(block.counts[visited_rows(block, 12)])
    assert (per_size[np.unique(block.counts)] >= 12).all()
    assert per_size.max() == max(12, np.bincount(block.counts).max() + 4)


def test_relaxed_guesses_come_beside_the_raw_ones(ensemble):
    raw, both = (featurise(ensemble, frozenset(), GuessOptions(relax=flag)).pairs for flag in (False, True))
    assert np.array_equal(both.guesses[:3], raw.guesses)
    assert both.guesses.shape[0] == both.targets.shape[0] == 6
    mol = read_smiles(ensemble.smiles)
    assert (mmff.energies(mol, both.guesses[3:]) < mmff.energies(mol, raw.guesses) - 1).all()
    np.testing.assert_allclose(both.guesses.mean(1), 0, atol=1e-5)
