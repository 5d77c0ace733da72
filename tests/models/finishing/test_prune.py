import numpy as np
import pytest
import torch
from rdkit import Chem
from rdkit.Chem.rdMolAlign import GetBestRMS

from models.data.matchings import shape_matchings
from models.data.verify import with_coordinates
from models.evaluation.baseline import embed
from models.finishing.prune import Overlap, best_overlap, centred, distinct, profiles, rmsd
from models.geometry import alignment

# One centre of each kind of symmetry: none, methyl and ring, nitro, CF3, a chain from both ends, carboxylate, a cage.
SMILES = [
    "CCC(C)CO", "CC(C)(C)c1ccccc1", "O=[N+]([O-])c1ccccc1CC", "FC(F)(F)c1cccc(C(F)(F)F)c1", "OCCCCCO",
    "[O-]C(=O)C[NH2+]CC(=O)[O-]", "OC12CC3CC(CC(C3)C1)C2",
]  # fmt: skip


def molecule(smiles):
    return Chem.AddHs(Chem.MolFromSmiles(smiles))


def pile(smiles, count=8):
    mol = molecule(smiles)
    x, failure = embed(mol, count, 11, 20)
    assert failure is None
    return mol, x


def turned(x, seed=0):
    """The same conformers, each turned and shifted in its own way."""
    rng = np.random.default_rng(seed)
    turns, _ = np.linalg.qr(rng.normal(size=(len(x), 3, 3)))
    turns *= np.linalg.det(turns)[:, None, None]
    return x @ turns + rng.normal(size=(len(x), 1, 3))


def get_best_rms(mol, first, second):
    heavy = [Chem.RemoveAllHs(with_coordinates(mol, x)) for x in (first, second)]
    return GetBestRMS(*heavy)


@pytest.mark.parametrize("smiles", SMILES)
def test_rmsd_is_that_of_get_best_rms(smiles):
    mol, x = pile(smiles, 5)
    for row in range(1, 5):
        expected = [get_best_rms(mol, x[k], x[row]) for k in range(row)]
        np.testing.assert_allclose(rmsd(mol, x[row], x[:row]), expected, atol=1e-6)


@pytest.mark.parametrize("smiles", SMILES)
@pytest.mark.parametrize("threshold", [0.125, 0.5, 1.0])
def test_what_is_left_is_what_brute_force_leaves(smiles, threshold):
    mol, x = pile(smiles)
    kept = []
    for row in range(len(x)):
        if all(get_best_rms(mol, x[k], x[row]) >= threshold for k in kept):
            kept.append(row)
    assert distinct(mol, x, threshold) == kept


@pytest.mark.parametrize("smiles", SMILES)
def test_identical_copies_leave_one(smiles):
    mol, x = pile(smiles, 2)
    copies = turned(np.concatenate([x[:1]] * 20))
    assert distinct(mol, copies, 0.001) == [0]


@pytest.mark.parametrize("smiles", SMILES)
def test_pruning_is_idempotent(smiles):
    mol, x = pile(smiles, 20)
    kept = distinct(mol, x, 0.4)
    assert distinct(mol, x[kept], 0.4) == list(range(len(kept)))


@pytest.mark.parametrize("smiles", SMILES)
def test_pruning_does_not_see_rotation_or_equivalent_atoms(smiles):
    mol, x = pile(smiles, 12)
    found, rng = shape_matchings(mol), np.random.default_rng(0)
    other = x.copy()
    for row in range(len(x)):
        matching = found.matchings[rng.integers(len(found.matchings))]
        other[row, found.atoms] = x[row, found.atoms[matching]]
    assert distinct(mol, turned(other), 0.3) == distinct(mol, x, 0.3)


@pytest.mark.parametrize(
    ("smiles", "moves"),
    [
        ("CC(C)(C)c1ccc(O)nc1", {0: 2, 2: 3, 3: 0}),  # tert-butyl turned by a third
        ("OC(=O)CCc1ccccc1", {6: 10, 7: 9, 9: 7, 10: 6}),  # phenyl turned by a half
    ],
)
def test_turned_groups_are_duplicates(smiles, moves):
    mol, x = pile(smiles, 2)
    other = x.copy()
    for new, old in moves.items():
        other[:, new] = x[:, old]
    assert np.abs(other - x).max() > 1.0
    assert distinct(mol, np.concatenate((x[:1], other[:1])), 0.01) == [0]


def test_pruning_does_not_depend_on_the_order_of_the_conformers_when_the_best_come_first():
    mol, x = pile("OCCCCCO", 30)
    energy = np.random.default_rng(1).permutation(30)
    expected = distinct(mol, x, 0.6, np.argsort(energy))
    shuffle = np.random.default_rng(2).permutation(30)
    found = distinct(mol, x[shuffle], 0.6, np.argsort(energy[shuffle]))
    assert shuffle[found].tolist() == expected
    assert 1 < len(expected) < 30


def test_result_does_not_depend_on_how_many_are_looked_at_together(monkeypatch):
    mol, x = pile("OCCCCCO", 30)
    expected = distinct(mol, x, 0.6)
    for rows, superpositions in ((1, 1), (7, 10), (1000, 10**6)):
        monkeypatch.setattr("models.finishing.prune._ROWS", rows)
        monkeypatch.setattr("models.finishing.prune._SUPERPOSITIONS", superpositions)
        assert distinct(mol, x, 0.6) == expected
    assert 1 < len(expected) < 30


def test_first_of_each_group_stays():
    mol, x = pile("OCCCCCO", 6)
    apart = x[distinct(mol, x, 0.8)][:2]
    assert len(apart) == 2
    both = np.concatenate((turned(apart, 1), turned(apart, 2)))
    assert distinct(mol, both, 0.1) == [0, 1]
    assert distinct(mol, both, 0.1, [3, 0, 2, 1]) == [3, 0]


def test_hydrogens_do_not_count_beside_heavy_atoms():
    mol, x = pile("CCCO", 1)
    other = x.copy()
    other[:, 4:] += 0.7
    assert distinct(mol, np.concatenate((x, other)), 0.01) == [0]


@pytest.mark.parametrize("smiles", ["C", "OO", "[H][H]"])
def test_hydrogens_count_where_they_are_the_shape(smiles):
    mol, x = pile(smiles, 1)
    wide = x * 1.3
    assert distinct(mol, np.concatenate((x, wide, turned(x))), 0.05) == [0, 1]


def test_mirror_images_are_distinct():
    mol, x = pile("C[C@H](F)Cl", 1)
    assert distinct(mol, np.concatenate((x, x * [-1, 1, 1])), 0.2) == [0, 1]


def test_nothing_leaves_nothing():
    mol, x = pile("CCO", 1)
    assert distinct(mol, x[:0], 0.1) == []
    assert distinct(mol, x, 0.1) == [0]


def test_cap_of_matchings_leaves_out_nothing_that_is_not_a_duplicate():
    mol, x = pile("CC(C)(C)c1ccc(C(C)(C)C)cc1", 10)
    full, few = distinct(mol, x, 0.1), distinct(mol, x, 0.1, max_matches=3)
    assert set(full) <= set(few)
    assert len(full) < len(few)
    assert distinct(mol, turned(np.concatenate([x[:1]] * 5)), 0.01, max_matches=1) == [0]


@pytest.mark.parametrize("smiles", SMILES)
def test_profiles_are_never_farther_apart_than_the_conformers(smiles):
    mol, x = pile(smiles, 10)
    found = shape_matchings(mol)
    profile = profiles(centred(turned(x), found.atoms), found.matchings)
    for row in range(1, 10):
        bound = np.linalg.norm(profile[:row] - profile[row], axis=1)
        exact = rmsd(mol, x[row], x[:row])
        assert (bound <= exact + 1e-9).all()
        assert (bound > 0.02 * exact).all()  # it says something


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_best_overlap_is_that_of_the_geometry_room(scale):
    rng = np.random.default_rng(0)
    covariance = scale * rng.normal(size=(500, 3, 3))
    covariance[100:200, :, 2] = 0.0  # planar
    covariance[200:300, :, 1:] = 0.0  # collinear
    covariance[300:400] = scale * np.linalg.qr(covariance[300:400])[0]  # three equal singular values, both hands
    covariance[400:] = 0.0
    expected = alignment.best_overlap(torch.from_numpy(covariance)).numpy()
    np.testing.assert_allclose(best_overlap(covariance.transpose(1, 2, 0)), expected, rtol=1e-7, atol=1e-9 * scale)


def test_overlap_is_the_largest_over_all_matchings():
    rng = np.random.default_rng(0)
    found = shape_matchings(molecule("CC(C)(C)c1ccccc1"))
    x, y = rng.normal(size=(10, 3)), rng.normal(size=(7, 10, 3))
    expected = [max(best_overlap((x.T @ other[matching])[..., None])[0] for matching in found.matchings) for other in y]
    np.testing.assert_allclose(Overlap(found.matchings)(x, y), expected, rtol=1e-10)


def test_thousand_conformers_of_a_drug_need_few_superpositions(monkeypatch):
    mol, x = pile("CC(C)Cc1ccc(cc1)[C@@H](C)C(=O)NCCN1CCOCC1", 5)
    shaken = np.repeat(x, 200, axis=0) + np.random.default_rng(0).normal(scale=0.02, size=(1000, mol.GetNumAtoms(), 3))
    pairs = []
    call = Overlap.__call__
    monkeypatch.setattr(Overlap, "__call__", lambda self, a, b: pairs.append(len(b)) or call(self, a, b))
    assert len(distinct(mol, shaken, 0.125)) == 5
    assert sum(pairs) < 5_000  # of the 499,500 pairs
