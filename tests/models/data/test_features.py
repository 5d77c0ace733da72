from itertools import permutations

import numpy as np
import pytest
import torch
from rdkit import Chem

from models.data.batch import pad
from models.data.features import PAIR_SIZES, TOKEN_SIZES, build_features, chiral_quadruples, cis_trans_pairs
from models.data.molecule import build_molecules, read_smiles
from models.geometry.internal import signed_volumes

CHIRAL = [
    "C[C@H](N)C(=O)O",
    "C[C@@H](N)C(=O)O",
    "F[C@](Cl)(Br)I",
    "O[C@H]1CCCC[C@@H]1F",
    "C[S@](=O)c1ccccc1",
    "C[S@@+]([O-])CC",
    "CC[P@](C)(=O)c1ccccc1",
    "C[N@+](CC)(CCC)Cc1ccccc1",
    "C[C@@H]1O[C@@H]1C",
    "CC[Si@](C)(F)c1ccccc1",
    "OC[C@H]1O[C@@H](O)[C@H](O)[C@@H](O)[C@@H]1O",
    "C[C@]12CC[C@H](C1)CC2",
    "C[C@H]1CC[C@@H](C)CC1",
    "[2H][C@H](C)O",
    "C/C=C/[C@H](F)C",
]
VARIED = [
    "[H][H]", "O", "[NH4+]", "B(O)(O)c1ccccc1", "C[Si](C)(C)C", "CS(=O)(=O)N", "FS(F)(F)(F)(F)F", "F[P-](F)(F)(F)(F)F",
    "FP(F)(F)(F)F", "ClC(Br)I", "C[As](C)C", "C[Se]C", "[C-]#[O+]", "C1CCCCCCCCC1", "C1CC1", "O=P([O-])([O-])[O-]",
    "c1ccc2ccccc2c1", "CCCCCCCCCCCC", "N#Cc1ccncc1", "[O-][I+2]([O-])O", "[O-][Cl+3]([O-])([O-])[O-]", "FI(F)(F)(F)F",
]  # fmt: skip


def digits(code):
    """Pair codes as (hops, bond, ring, stereo)."""
    parts = []
    for size in reversed(PAIR_SIZES):
        code, digit = np.divmod(code, size)
        parts.append(digit)
    assert (code == 0).all()
    return parts[::-1]


def is_odd(first, second):
    """Whether a permutation that turns one list into the other is odd."""
    order = [list(first).index(k) for k in second]
    return sum(order[i] > order[j] for i in range(4) for j in range(i + 1, 4)) % 2 == 1


def oriented(quadruples):
    """Quadruples as a set that forgets even permutations only."""
    even = [p for p in permutations(range(4)) if not is_odd(range(4), p)]
    return {min(tuple(int(q[k]) for k in p) for p in even) for q in quadruples}


def mirrored_smiles(smiles):
    return smiles.replace("@@", "?").replace("@", "@@").replace("?", "@")


@pytest.mark.parametrize("smiles", CHIRAL)
def test_mirror_image_has_mirrored_features(molecule_of, smiles):
    left, right = molecule_of(smiles).features, molecule_of(mirrored_smiles(smiles)).features
    for name in ("tokens", "pairs", "bonded"):
        assert (getattr(left, name) == getattr(right, name)).all()
    assert len(left.quadruples) == len(right.quadruples) > 0
    for a, b in zip(left.quadruples, right.quadruples, strict=True):
        assert set(a) == set(b)
        assert is_odd(a, b)


@pytest.mark.parametrize("smiles", CHIRAL)
def test_quadruple_volumes_are_positive_in_the_right_enantiomer(molecule_of, structure_of, smiles):
    molecule = molecule_of(smiles)
    quadruples = torch.from_numpy(molecule.features.quadruples.astype(np.int64))[None]
    x = torch.from_numpy(structure_of(molecule))[None]
    volume, _ = signed_volumes(x, quadruples)
    assert (volume > 0.3).all()
    mirrored = molecule_of(mirrored_smiles(smiles)).features.quadruples.astype(np.int64)
    mirror_volume, _ = signed_volumes(x * torch.tensor([1.0, 1.0, -1.0]), torch.from_numpy(mirrored)[None])
    torch.testing.assert_close(mirror_volume, volume)


@pytest.mark.parametrize("smiles", [*CHIRAL, "C/C=C\\C", "CCO", "CS(=O)(=O)c1ccc(Cl)cc1"])
def test_renumbering_permutes_the_features(molecule_of, smiles):
    molecule = molecule_of(smiles)
    order = np.random.default_rng(3).permutation(molecule.num_atoms)
    moved = Chem.RenumberAtoms(molecule.mol, order.tolist())
    before, after = molecule.features, build_features(moved)
    assert (after.tokens == before.tokens[order]).all()
    assert (after.pairs == before.pairs[np.ix_(order, order)]).all()
    assert (after.bonded == before.bonded[np.ix_(order, order)]).all()
    assert oriented(order[after.quadruples.astype(int)]) == oriented(before.quadruples)


def test_renumbering_permutes_the_output_of_the_network(molecule_of, structure_of, tiny_config, shaken):
    molecule = molecule_of("C/C=C/[C@H](F)C")
    order = np.random.default_rng(5).permutation(molecule.num_atoms)
    moved = build_features(Chem.RenumberAtoms(molecule.mol, order.tolist()))
    x = torch.from_numpy(structure_of(molecule)).float()[None]
    module, t = shaken(tiny_config()), torch.tensor([0.4])
    before = module(pad([molecule.features]), x, t, 0.7 * x)
    after = module(pad([moved]), x[:, order], t, 0.7 * x[:, order])
    torch.testing.assert_close(after, before[:, order], atol=1e-4, rtol=1e-4)


def test_network_tells_mirror_images_apart(molecule_of, structure_of, tiny_config, shaken):
    left, right = molecule_of("C[C@H](N)C(=O)O"), molecule_of("C[C@@H](N)C(=O)O")
    x = torch.from_numpy(structure_of(left)).float()[None].repeat(2, 1, 1)
    out = shaken(tiny_config())(pad([left.features, right.features]), x, torch.tensor([0.4, 0.4]))
    assert (out[0] - out[1]).abs().max() > 1e-2


@pytest.mark.parametrize("smiles", ["CS(=O)CC", "CP(=O)(CC)CO", "C[N+](CC)(CO)CF", "CP(CC)CO", "FC(Cl)Br"])
def test_stereocentre_of_each_kind_is_oriented(smiles):
    for molecule in build_molecules(read_smiles(smiles), 0, 4):
        centres = np.flatnonzero(molecule.features.tokens[:, 7])
        assert len(centres) == len(molecule.features.quadruples) == 1
        neighbours = {n.GetIdx() for n in molecule.mol.GetAtomWithIdx(int(centres[0])).GetNeighbors()}
        points = {int(k) for k in molecule.features.quadruples[0]}
        assert points == (neighbours if len(neighbours) == 4 else neighbours | {int(centres[0])})
    assert len(build_molecules(read_smiles(smiles), 0, 4)) == 2


def test_achiral_molecules_have_no_quadruples(molecule_of):
    for smiles in ("CCO", "CC(C)O", "CN(CC)CO", "C[Se]C"):
        quadruples, centres = chiral_quadruples(molecule_of(smiles).mol)
        assert (quadruples.shape, quadruples.dtype, centres) == ((0, 4), np.int16, [])


@pytest.mark.parametrize(("smiles", "cis"), [("C/C=C/C", False), ("C/C=C\\C", True), ("F/C(Cl)=C(/C)Br", False)])
def test_double_bond_marks_are_cis_and_trans(molecule_of, smiles, cis):
    mol = molecule_of(smiles).mol
    marks = {frozenset((a, b)): same for a, b, same in cis_trans_pairs(mol)}
    assert len(marks) == 4
    bond = next(b for b in mol.GetBonds() if b.GetBondType() == Chem.BondType.DOUBLE)
    first = [n.GetIdx() for n in bond.GetBeginAtom().GetNeighbors() if n.GetIdx() != bond.GetEndAtomIdx()]
    second = [n.GetIdx() for n in bond.GetEndAtom().GetNeighbors() if n.GetIdx() != bond.GetBeginAtomIdx()]
    assert marks[frozenset((first[0], second[0]))] == cis
    for a in first:  # one cis and one trans partner each
        assert sorted(marks[frozenset((a, b))] for b in second) == [False, True]


@pytest.mark.parametrize(
    "smiles", ["C/C=C/C", "C/C=C\\C", "F/C(Cl)=C(/C)Br", "C/C=N/O", "C1CC/C=C/CCC1", "C/C=C\\C=C\\F"]
)
def test_cis_marks_agree_with_the_structure(molecule_of, structure_of, smiles):
    molecule = molecule_of(smiles)
    x = structure_of(molecule)
    for a, b, cis in cis_trans_pairs(molecule.mol):
        i, j = next(
            (p.GetIdx(), q.GetIdx())
            for p in molecule.mol.GetAtomWithIdx(a).GetNeighbors()
            for q in molecule.mol.GetAtomWithIdx(b).GetNeighbors()
            if (bond := molecule.mol.GetBondBetweenAtoms(p.GetIdx(), q.GetIdx()))
            and bond.GetBondType() == Chem.BondType.DOUBLE
        )
        axis = (x[j] - x[i]) / np.linalg.norm(x[j] - x[i])
        u, v = x[a] - x[i], x[b] - x[j]
        assert (np.dot(u - axis * (u @ axis), v - axis * (v @ axis)) > 0) == cis


def test_geometric_isomers_differ_in_their_marks_only(molecule_of):
    e, z = (molecule_of(s).features for s in ("C/C=C/C", "C/C=C\\C"))
    assert (e.tokens == z.tokens).all()
    (hops, bond, ring, stereo), (hops_z, bond_z, ring_z, stereo_z) = digits(e.pairs), digits(z.pairs)
    for same, other in ((hops, hops_z), (bond, bond_z), (ring, ring_z)):
        assert (same == other).all()
    assert (stereo != stereo_z).sum() == 8
    assert ((stereo > 0) == (stereo_z > 0)).all()
    assert (stereo[0, 3], stereo_z[0, 3]) == (2, 1)


def test_hops_are_the_graph_distance(molecule_of):
    molecule = molecule_of("C" * 12)
    hops = digits(molecule.features.pairs)[0]
    expected = np.minimum(np.abs(np.arange(12)[:, None] - np.arange(12)), 8)
    assert (hops[:12, :12] == expected).all()
    ring = digits(molecule_of("C1CCCCC1").features.pairs)[0]
    assert ring[0, :6].tolist() == [0, 1, 2, 3, 2, 1]


def test_atoms_without_a_path_have_their_own_code():
    mol = Chem.AddHs(Chem.MolFromSmiles("C.C"))
    assert digits(build_features(mol).pairs)[0][0, 1] == 9


def test_pair_digits_name_bonds_and_rings(molecule_of):
    molecule = molecule_of("C#CC=Cc1ccccc1")
    _, bond, ring, _ = digits(molecule.features.pairs)
    assert [bond[0, 1], bond[1, 2], bond[2, 3], bond[4, 5], bond[0, 2]] == [3, 1, 2, 4, 0]
    assert ring[4:10, 4:10].all()
    assert not ring[:4].any()
    assert ((bond > 0) == molecule.features.bonded).all()


def test_token_columns_say_what_they_are_called(molecule_of):
    tokens = molecule_of("[NH3+]C(Cl)c1ccccc1", seed=1).features.tokens
    assert tokens[0].tolist() == [3, 4, 4, 4, 0, 0, 3, 0]  # N, +1, four neighbours, sp3, no ring, three hydrogens
    assert tokens[1, -1] == 1
    assert tokens[3].tolist() == [2, 3, 3, 3, 4, 1, 0, 0]  # C, sp2, ring of six, aromatic
    sizes = [molecule_of("C1" + "C" * (n - 1) + "1").features.tokens[0, 4] for n in range(3, 13)]
    assert sizes == [1, 2, 3, 4, 5, 6, 6, 6, 6, 6]


@pytest.mark.parametrize("smiles", VARIED + CHIRAL)
def test_codes_are_in_range(molecule_of, smiles):
    features = molecule_of(smiles).features
    assert (features.tokens < np.array(TOKEN_SIZES)).all()
    assert features.pairs.min() >= 0
    assert features.pairs.max() < np.prod(PAIR_SIZES)
    assert (features.pairs == features.pairs.T).all()
    assert (features.bonded == features.bonded.T).all()
    assert not features.bonded.diagonal().any()
    assert (features.tokens.dtype, features.pairs.dtype, features.bonded.dtype) == (np.uint8, np.int16, bool)
    assert ((features.quadruples >= 0) & (features.quadruples < features.num_tokens)).all()
