from itertools import product

import numpy as np
import pytest
import torch
from rdkit import Chem

from models.data.automorphisms import add_automorphisms, find_automorphisms
from models.data.batch import pad
from models.data.datasets import ReferenceMolecule
from models.data.packing import load_packed, pack, save_packed
from models.geometry.internal import signed_volumes
from models.samplers.prior import build_prior

SMILES = (
    "CCO",
    "CC",
    "C=C",
    "C1CC1",
    "C[C@H](O)[C@H](O)C",
    "F[C@H]1C[C@@H]1F",
    "C/C=C/C",
    "O=C1[C@H]2C[C@@H]1C2",
    "c1ccccc1",
)


def own(molecule_of, smiles, most=5_000):
    features = molecule_of(smiles).features
    return features, find_automorphisms(features, most)


@pytest.mark.parametrize(
    ("smiles", "count"),
    [
        ("C#N", 1),
        ("O", 2),
        ("C", 24),
        ("CCC", 144),  # 3! x 3! for the methyl groups, 2 for the middle, 2 for the ends
        ("C[C@H](F)Cl", 6),
        ("c1ccccc1", 12),
        ("C/C=C\\C", 72),
        ("CC(=O)[O-]", 6),  # the drawn charge tells the oxygens apart
    ],
)
def test_automorphisms_are_as_many_as_can_be_counted(molecule_of, smiles, count):
    assert len(own(molecule_of, smiles)[1]) == count


@pytest.mark.parametrize("smiles", SMILES)
def test_automorphisms_are_a_group(molecule_of, smiles):
    _, found = own(molecule_of, smiles)
    known = {tuple(p) for p in found.tolist()}
    assert len(known) == len(found)
    assert all(tuple(p[q].tolist()) in known for p, q in product(found[:40], found[:40]))
    assert all(tuple(np.argsort(p).tolist()) in known for p in found)


@pytest.mark.parametrize("smiles", SMILES)
def test_automorphism_keeps_every_feature(molecule_of, smiles):
    features, found = own(molecule_of, smiles)
    laplacian = np.diag(features.bonded.sum(1)) - features.bonded.astype(int)
    assert (found[0] == np.arange(features.num_tokens)).all()
    for p in found:
        matrix = np.eye(features.num_tokens, dtype=int)[p]
        assert (matrix @ laplacian @ matrix.T == laplacian).all()
        assert (features.tokens[p] == features.tokens).all()
        assert (features.pairs[np.ix_(p, p)] == features.pairs).all()


@pytest.mark.parametrize("smiles", [s for s in SMILES if "@" in s])
def test_automorphism_keeps_the_handedness(molecule_of, structure_of, smiles):
    features, found = own(molecule_of, smiles)
    batch = pad([features])
    x = torch.from_numpy(structure_of(molecule_of(smiles)))[torch.from_numpy(found.astype(np.int64))]
    volume, _ = signed_volumes(x, batch.quadruples.expand(len(found), -1, -1))
    assert len(features.quadruples) and (volume > 0).all()


@pytest.mark.parametrize("smiles", ["C[C@H](F)[C@@H](F)C", "C[C@H](F)[C@H](F)C"])
def test_centres_are_exchanged_if_they_have_the_same_handedness(molecule_of, smiles):
    _, found = own(molecule_of, smiles)
    (first, one), (second, other) = Chem.FindMolChiralCenters(molecule_of(smiles).mol)
    assert (found[:, first] == second).any() == (one == other)
    assert len(found) == 36 * (1 + (one == other))


def test_network_and_prior_do_not_notice_an_automorphism(molecule_of, shaken, tiny_config):
    features, found = own(molecule_of, "C[C@H](F)[C@H](F)C", 12)
    batch = pad([features] * len(found))
    p = torch.from_numpy(found.astype(np.int64))[..., None].expand(-1, -1, 3)
    x = torch.randn(1, features.num_tokens, 3).expand(len(found), -1, -1)
    module, t, guess = shaken(tiny_config()), torch.full((len(found),), 0.4), torch.zeros_like(x)
    torch.testing.assert_close(
        module(batch, x.gather(1, p), t, guess), module(batch, x, t, guess).gather(1, p), atol=1e-5, rtol=1e-5
    )
    x_noise = build_prior("harmonic", 1.0)(torch.randn(40_000, features.num_tokens, 3), *(
        part[:1].expand(40_000, *part.shape[1:]) for part in (batch.token_mask, batch.bonded)
    ))  # fmt: skip
    covariance = torch.einsum("bnd,bmd->nm", x_noise, x_noise) / 120_000
    for index in found.astype(np.int64):
        torch.testing.assert_close(covariance[index][:, index], covariance, atol=0.04, rtol=0)


def test_large_group_is_cut_the_same_way_each_time(molecule_of):
    features, found = own(molecule_of, "CC(C)(C)C", 50)
    assert found.shape == (50, features.num_tokens)
    assert len({tuple(p) for p in found.tolist()}) == 50
    assert (found == find_automorphisms(features, 50)).all()
    moved = (found != np.arange(features.num_tokens)).any(0)
    assert moved[[k for k, row in enumerate(features.tokens) if row[2] == 1]].all()


def test_block_holds_the_automorphisms_of_each_molecule(packed, tmp_path):
    block = packed[1]
    whole = add_automorphisms(block, 50)
    assert block.automorphisms is None and whole.automorphisms.dtype == np.int16
    assert (whole.automorphisms[:, 0] == np.arange(block.tokens.shape[1])).all()
    for row, count in enumerate(block.counts.tolist()):
        assert (whole.automorphisms[row, :, count:] == np.arange(count, block.tokens.shape[1])).all()
        for p in whole.automorphisms[row]:
            assert (block.bonded[row][np.ix_(p, p)] == block.bonded[row]).all()
    save_packed(tmp_path / "packed.npz", [block, whole])
    bare, again = load_packed(tmp_path / "packed.npz")
    assert bare.automorphisms is None
    assert (again.automorphisms == whole.automorphisms).all()


def test_block_is_no_wider_than_its_largest_group():
    water = ReferenceMolecule("O", np.array([8, 1, 1]), np.array([[[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]]]))
    (block,), _ = pack([water], (), (4,), processes=1)
    assert add_automorphisms(block, 50).automorphisms.tolist() == [[[0, 1, 2, 3], [0, 2, 1, 3]]]
