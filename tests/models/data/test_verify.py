import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdMolTransforms

from models.data.molecule import build_molecules, read_smiles
from models.data.verify import (
    REASONS,
    check_geometry,
    find_faults,
    geometry_limits,
    perceived_smiles,
    stereo_matches,
    with_coordinates,
)

VARIED = [
    "CCO",
    "C[C@H](N)C(=O)O",
    "C[C@@H]1O[C@@H]1C",
    "O=C([O-])C[NH3+]",
    "FC(Cl)(Br)I",
    "C[S@](=O)c1ccccc1",
    "CC[P@](C)(=O)c1ccccc1",
    "OB(O)c1ccccc1",
    "C[Si](C)(C)O",
    "C[Se]CC[C@H](N)C=O",
    "C/C=C\\C=C\\F",
    "C1CC2CCC1C2",
    "C[N@+](CC)(CCC)Cc1ccccc1",
    "C[C@H]1CC[C@@H](C)CC1",
    "[H][H]",
    "[Cl-]",
    "N=C(N)N",
    "CN1CCC[C@H]1c1cccnc1",
    "C[As](C)C",
]


def faults(molecule, *structures):
    return check_geometry(geometry_limits(molecule), np.stack(structures))


@pytest.mark.parametrize("smiles", VARIED)
def test_good_structures_pass(molecule_of, structure_of, smiles):
    molecule = molecule_of(smiles)
    structures = [structure_of(molecule, seed) for seed in (1, 2, 3)]
    assert faults(molecule, *structures) == [None] * 3
    assert all(stereo_matches(molecule, x) for x in structures)


@pytest.mark.parametrize("smiles", ["C[P@](CC)c1ccccc1", "C[N@]1C[C@H]1C"])
def test_good_structures_with_a_stereo_lone_pair_pass(molecule_of, structure_of, smiles):
    molecule = molecule_of(smiles)
    assert stereo_matches(molecule, structure_of(molecule))
    assert not stereo_matches(molecule, -structure_of(molecule))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_named(molecule_of, structure_of, value):
    molecule = molecule_of("CCO")
    good = structure_of(molecule)
    bad = good.copy()
    bad[3, 1] = value
    assert faults(molecule, good, bad, good) == [None, "not_finite", None]


@pytest.mark.parametrize("factor", [0.5, 1.5])
def test_broken_bonds_are_found(molecule_of, structure_of, factor):
    molecule = molecule_of("CCO")
    good = structure_of(molecule)
    hydrogen = molecule.num_atoms - 1
    bad = good.copy()
    bad[hydrogen] = good[2] + factor * (good[hydrogen] - good[2])
    assert faults(molecule, good, bad) == [None, "broken_bond"]


def test_contact_without_a_broken_bond_is_a_clash(molecule_of):
    molecule = molecule_of("[H][H]")
    limits = geometry_limits(molecule)
    apart = type(limits)(limits.bonds[:0], limits.radii, np.array([[False, True], [False, False]]))
    touching, far = (np.array([[0, 0, 0], [d, 0, 0]]) for d in (0.7, 0.8))  # 1.2 x 0.62 Å is 0.744
    assert check_geometry(apart, np.stack([touching, far])) == ["clash", None]


def test_folded_chain_is_a_clash(molecule_of, structure_of):
    molecule = molecule_of("CCCCCC")
    good = structure_of(molecule)
    mol = with_coordinates(molecule.mol, good)
    for bond in ((0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5)):
        rdMolTransforms.SetDihedralDeg(mol.GetConformer(), *bond, 0.0)
    folded = mol.GetConformer().GetPositions()
    assert faults(molecule, good, folded) == [None, "clash"]


@pytest.mark.parametrize("smiles", [s for s in VARIED if "@" in s and s != "C[C@H]1CC[C@@H](C)CC1" and "1O[" not in s])
def test_enantiomers_are_told_apart(molecule_of, structure_of, smiles):
    molecule = molecule_of(smiles)
    mirrored = structure_of(molecule) * [1, 1, -1]
    assert faults(molecule, mirrored) == [None]
    assert not stereo_matches(molecule, mirrored)


def test_meso_molecule_is_its_own_mirror_image(molecule_of, structure_of):
    molecule = molecule_of("C[C@H]1CC[C@@H](C)CC1")
    assert stereo_matches(molecule, -structure_of(molecule))


def test_geometric_isomers_are_told_apart(molecule_of, structure_of):
    e, z = molecule_of("C/C=C/C"), molecule_of("C/C=C\\C")
    assert stereo_matches(e, structure_of(e))
    assert not stereo_matches(e, structure_of(z))
    assert not stereo_matches(z, structure_of(e))


def test_diastereomers_are_told_apart():
    isomers = build_molecules(read_smiles("CC(O)C(F)Cl"), 0, 8)
    assert len(isomers) == 4
    for asked in isomers:
        for given in isomers:
            mol = Chem.Mol(given.mol)
            assert rdDistGeom.EmbedMolecule(mol, randomSeed=5) == 0
            assert stereo_matches(asked, mol.GetConformer().GetPositions()) == (asked is given)


def test_amines_that_invert_freely_match_both_ways(molecule_of, structure_of):
    molecule = molecule_of("CN(CC)CO")
    x = structure_of(molecule)
    assert stereo_matches(molecule, x)
    assert stereo_matches(molecule, -x)


def test_perception_reads_the_structure_and_not_the_tags(molecule_of, structure_of):
    right = molecule_of("C[C@H](N)C(=O)O")
    left = molecule_of("C[C@@H](N)C(=O)O")
    assert perceived_smiles(left.mol, structure_of(right)) == right.smiles
    assert left.mol.GetNumConformers() == 0


def test_first_fault_of_each_structure_is_named(molecule_of, structure_of):
    molecule = molecule_of("C[C@H](N)C(=O)O")
    x = structure_of(molecule)
    found = find_faults(molecule, geometry_limits(molecule), np.stack((x, 2 * x, x * np.nan, x * [-1, 1, 1])))
    assert found == [None, "broken_bond", "not_finite", "wrong_stereo"]


def test_every_fault_has_a_sentence():
    assert {"not_finite", "broken_bond", "clash", "wrong_stereo"} == set(REASONS)
