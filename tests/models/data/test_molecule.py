import logging
import pickle
import string
from multiprocessing import get_context

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from models.data import molecule as room
from models.data.elements import ELEMENTS, MAX_ATOMS
from models.data.molecule import (
    MAX_MOLBLOCK_CHARS,
    MAX_SMILES_CHARS,
    build_molecules,
    canonical_smiles,
    open_stereo,
    read_molblock,
    read_smiles,
)
from models.errors import MoleculeError

REFUSED = [
    # SMILES, reason, words that the message must hold: the value, and what is allowed
    ("", "empty_input", ["CCO"]),
    ("  ", "empty_input", ["CCO"]),
    ("C" * (MAX_SMILES_CHARS + 1), "too_large", [str(MAX_SMILES_CHARS + 1), str(MAX_SMILES_CHARS)]),
    ("C" * 300, "too_large", ["902", str(MAX_ATOMS)]),
    ("CC O", "invalid_smiles", ["'CC O'", "contains ' '", "one plain SMILES"]),
    ("CC\tO", "invalid_smiles", ["\\t", "one plain SMILES"]),
    ("Cé", "invalid_smiles", ["é", "one plain SMILES"]),
    ("InChI=1S/CH4/h1H4", "invalid_smiles", ["InChI", "convert it to a SMILES"]),
    ("C1CC", "unreadable", ["C1CC", "unclosed ring"]),
    ("c1cccc1", "unreadable", ["kekulize"]),
    ("C(C)(C)(C)(C)C", "unreadable", ["valence", "# 0 C"]),
    ("C*", "query_atom", ["atom 1", "name one element"]),
    ("[Fe]", "unsupported_element", ["atom 0", "Fe", *ELEMENTS]),
    ("C[Hg]C", "unsupported_element", ["atom 1", "Hg"]),
    ("[C+4]", "unsupported_charge", ["atom 0", "+4", "-3 to +3"]),
    ("C[CH2]", "radical", ["atom 1", "unpaired electron", "closed-shell"]),
    ("C~C", "unsupported_bond", ["0-1", "single, double, triple, aromatic"]),
    ("C$C", "unsupported_bond", ["quadruple"]),
    ("N->B", "unsupported_bond", ["dative"]),
    ("CC(=O)[O-].[NH4+]", "multiple_fragments", ["2 unconnected", "4, 1", "on its own"]),
]

V2000_HEAD = "\n  test\n\n"


def molblock(atoms, bonds, tail=""):
    """V2000 block of atoms on a line."""
    lines = [f"{len(atoms):3d}{len(bonds):3d}  0  0  0  0  0  0  0  0999 V2000"]
    lines += [f"{1.4 * k:10.4f}    0.0000    0.0000 {s:<3} 0  0  0  0  0  0" for k, s in enumerate(atoms)]
    lines += [f"{a:3d}{b:3d}{order:3d}  0" for a, b, order in bonds]
    return V2000_HEAD + "\n".join(lines) + f"\n{tail}M  END\n"


REFUSED_BLOCKS = [
    ("", "invalid_molecule", ["M  END"]),
    ("CCO", "invalid_molecule", ["M  END", "V2000 or V3000"]),
    ("C" * (MAX_MOLBLOCK_CHARS + 1), "too_large", [str(MAX_MOLBLOCK_CHARS)]),
    (molblock([], []), "empty_input", ["no atoms"]),
    (molblock(["C", "C"], [(1, 3, 1)]), "unreadable", ["mol block"]),
    (molblock(["C", "Xx"], [(1, 2, 1)]), "unreadable", ["mol block", "Xx"]),
    (molblock(["C", "A"], [(1, 2, 1)]), "query_atom", ["atom 1"]),
    (molblock(["C", "C"], [(1, 2, 8)]), "unsupported_bond", ["0-1"]),
    (molblock(["C", "Zn"], [(1, 2, 1)]), "unsupported_element", ["Zn"]),
    (molblock(["C", "O"], []), "multiple_fragments", ["2"]),
    (molblock(["C"], [], "M  RAD  1   1   2\n"), "radical", ["atom 0"]),
    ("not a block\nM  END\n", "unreadable", ["mol block"]),
]


def labels(mol):
    """What must survive of each atom."""
    return [(a.GetSymbol(), a.GetFormalCharge(), a.GetIsotope(), a.GetAtomMapNum()) for a in mol.GetAtoms()]


def pickled_labels(molecule):
    """Runs in a spawned process."""
    names = [a.GetPDBResidueInfo().GetName() for a in molecule.mol.GetAtoms() if a.GetPDBResidueInfo()]
    return labels(molecule.mol), names, molecule.mol.GetProp("_Name"), canonical_smiles(molecule.mol)


@pytest.fixture(scope="module", autouse=True)
def quiet():
    """Keep RDKit's own words out of the test report."""
    handlers = logging.getLogger("rdkit").handlers[:]
    logging.getLogger("rdkit").handlers.clear()
    yield
    logging.getLogger("rdkit").handlers.extend(handlers)


@pytest.mark.parametrize(("text", "reason", "words"), REFUSED)
def test_refused_smiles_says_why(text, reason, words):
    with pytest.raises(MoleculeError) as caught:
        read_smiles(text)
    assert caught.value.reason == reason
    assert not [word for word in words if word not in str(caught.value)], str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(("text", "reason", "words"), REFUSED_BLOCKS)
def test_refused_molblock_says_why(text, reason, words):
    with pytest.raises(MoleculeError) as caught:
        read_molblock(text)
    assert caught.value.reason == reason
    assert not [word for word in words if word not in str(caught.value)], str(caught.value)


def test_largest_molecule_is_read():
    assert read_smiles("C" * 84 + "OO").GetNumAtoms() == MAX_ATOMS
    with pytest.raises(MoleculeError, match=f"{MAX_ATOMS + 1} atoms"):
        read_smiles("C" * 84 + "OOO")


def test_largest_charge_is_read():
    assert read_smiles("[O-]P([O-])([O-])=O").GetNumAtoms() == 5
    assert read_smiles("[NH4+]").GetNumAtoms() == 5


@pytest.mark.parametrize("element", ELEMENTS)
def test_supported_element_is_read(element):
    mol = read_smiles({"H": "[H][H]", "Si": "[SiH4]", "As": "[AsH3]", "Se": "[SeH2]"}.get(element, element))
    assert mol.GetAtomWithIdx(0).GetSymbol() == element


def test_hydrogens_follow_the_atoms_of_the_input():
    mol = read_smiles("OC([2H])C([H])=C")
    symbols = [a.GetSymbol() for a in mol.GetAtoms()]
    assert symbols[:6] == ["O", "C", "H", "C", "H", "C"]
    assert set(symbols[6:]) == {"H"}
    assert [a.GetNumExplicitHs() + a.GetNumImplicitHs() for a in mol.GetAtoms()] == [0] * mol.GetNumAtoms()


def test_smiles_labels_survive():
    mol = read_smiles("[13CH3:7][NH2+:2][CH2:3][C:4](=O)[O-:5]", "my name")
    assert labels(mol)[:6] == [
        ("C", 0, 13, 7), ("N", 1, 0, 2), ("C", 0, 0, 3), ("C", 0, 0, 4), ("O", 0, 0, 0), ("O", -1, 0, 5),
    ]  # fmt: skip
    molecule = build_molecules(mol, 0)[0]
    assert labels(molecule.mol) == labels(mol)
    assert molecule.id == "my name"
    assert molecule.smiles == "[13CH3][NH2+]CC(=O)[O-]"


def test_molblock_labels_survive(files):
    mol = read_molblock((files / "labelled.mol").read_text(), "given")
    assert labels(mol) == labels(read_smiles("[13CH3:7][NH2+:2][CH2:3][C:4](=O)[O-:5]"))
    assert build_molecules(mol, 0)[0].id == "given"


def test_labels_and_names_survive_a_spawned_process(files):
    mol = read_molblock((files / "labelled.mol").read_text(), "given")
    for atom in mol.GetAtoms():
        atom.SetMonomerInfo(Chem.AtomPDBResidueInfo(f"Q{atom.GetIdx()}"))
    molecule = build_molecules(mol, 0)[0]
    with get_context("spawn").Pool(1) as pool:
        seen = pool.apply(pickled_labels, (molecule,))
        back = pool.apply(read_smiles, ("[13CH3:7][OH:1]", "there"))
    assert seen == pickled_labels(molecule)
    assert seen[1][:3] == ["Q0", "Q1", "Q2"]
    assert (labels(back)[:2], back.GetProp("_Name")) == ([("C", 0, 13, 7), ("O", 0, 0, 1)], "there")
    assert pickled_labels(pickle.loads(pickle.dumps(molecule))) == seen


@pytest.mark.parametrize("name", ["alanine_3d.mol", "alanine_3d_v3000.mol", "alanine_wedge.mol"])
def test_molblock_stereo_is_read(files, name):
    molecule = build_molecules(read_molblock((files / name).read_text()), 0)[0]
    assert (molecule.smiles, molecule.notes) == ("C[C@H](N)C(=O)O", ())
    assert [a.GetSymbol() for a in molecule.mol.GetAtoms()][:6] == ["C", "C", "N", "C", "O", "O"]
    assert molecule.num_atoms == 13
    assert molecule.mol.GetNumConformers() == 0


def test_mirrored_molblock_is_the_other_enantiomer(files):
    mol = Chem.MolFromMolBlock((files / "alanine_3d.mol").read_text())
    mol.GetConformer().SetPositions(mol.GetConformer().GetPositions() * [1, 1, -1])
    Chem.RemoveStereochemistry(mol)
    molecule = build_molecules(read_molblock(Chem.MolToMolBlock(mol, includeStereo=False)), 0)[0]
    assert molecule.smiles == "C[C@@H](N)C(=O)O"


def test_three_dimensions_outrank_the_wedges(files):
    text = (files / "alanine_3d.mol").read_text()
    assert "  2  1  1  0" in text
    wrong = text.replace("  2  1  1  0", "  2  1  1  1")  # a wedge that says D
    for block in (wrong, text.replace("  2  1  1  0", "  2  1  1  6")):
        assert build_molecules(read_molblock(block), 0)[0].smiles == "C[C@H](N)C(=O)O"


def test_flat_double_bond_is_read_from_its_drawing(files):
    text = (files / "chloropropene_2d.mol").read_text()
    assert build_molecules(read_molblock(text), 0)[0].smiles == "C/C=C/Cl"
    crossed = text.replace("  2  3  2  0", "  2  3  2  3")
    assert open_stereo(read_molblock(crossed)) == ["bond 1=2"]


def test_stereo_in_the_input_is_kept():
    for smiles in ("C[C@H](N)C(=O)O", "C/C=C\\C", "C[S@](=O)CC", "CC[P@](C)(=O)c1ccccc1", "C[N@+](CC)(CCC)Cc1ccccc1"):
        molecule = build_molecules(read_smiles(smiles), 0)[0]
        assert molecule.smiles == Chem.CanonSmiles(smiles)
        assert molecule.notes == ()


def test_open_stereo_is_named():
    assert open_stereo(read_smiles("CC(O)C=CC")) == ["atom 1 (C)", "bond 3=4"]
    assert open_stereo(read_smiles("CS(=O)CC")) == ["atom 1 (S)"]
    assert open_stereo(read_smiles("CN(CC)CO")) == []
    assert open_stereo(read_smiles("C[N+](CC)(CO)CF")) == ["atom 1 (N)"]


def test_isomer_belongs_to_the_seed_and_says_so():
    def chosen(seed):
        (molecule,) = build_molecules(read_smiles("CC(O)C(F)C(Cl)CC"), seed)
        assert open_stereo(molecule.mol) == []
        (note,) = molecule.notes
        assert "atom 1 (C), atom 3 (C), atom 5 (C)" in note
        assert "seed" in note
        return molecule.smiles

    assert [chosen(seed) for seed in range(8)] == [chosen(seed) for seed in range(8)]
    assert len({chosen(seed) for seed in range(8)}) > 2
    assert chosen(2**53 - 1) == chosen(2**53 - 1)


def test_chosen_isomer_keeps_what_is_given():
    for seed in range(4):
        (molecule,) = build_molecules(read_smiles("C[C@H](O)C(F)Cl"), seed)
        assert molecule.smiles in {Chem.CanonSmiles(f"C[C@H](O)[C@{h}](F)Cl") for h in ("H", "@H")}


def test_isomers_are_enumerated_to_the_limit():
    mol = read_smiles("CC(O)C(F)C(Cl)CC", "x")
    everything = build_molecules(mol, 0, 20)
    assert len({m.smiles for m in everything}) == len(everything) == 8
    assert [m.notes[0].split("stereoisomer ")[-1] for m in everything] == [f"{k} of 8" for k in range(1, 9)]
    some = build_molecules(mol, 0, 3)
    assert [m.smiles for m in some] == [m.smiles for m in build_molecules(mol, 0, 3)]
    assert len({m.smiles for m in some}) == 3
    assert all("only the first 3 are sampled" in m.notes[0] for m in some)
    assert {m.id for m in everything} == {"x"}


def test_meso_isomers_are_counted_once():
    molecules = build_molecules(read_smiles("OC(C)C(C)O"), 0, 10)
    assert len({m.smiles for m in molecules}) == len(molecules) == 3


@pytest.mark.parametrize("smiles", ["C1CN2CCC1CC2", "CC=C=CC"])
def test_molecule_with_one_isomer_has_no_note_of_a_choice(smiles):
    assert build_molecules(read_smiles(smiles), 0)[0].notes == ()


def test_open_stereo_of_long_chains_is_chosen_from_random_places(monkeypatch):
    embed = room.EmbedMolecule

    def fail_as_with_a_long_peptide(mol, maxAttempts=0, useRandomCoords=False, **how):
        return (
            embed(mol, maxAttempts=maxAttempts, useRandomCoords=True, **how)
            if useRandomCoords and maxAttempts > 1
            else -1
        )

    monkeypatch.setattr(room, "EmbedMolecule", fail_as_with_a_long_peptide)
    (molecule,) = build_molecules(read_smiles("NC(=N)NCC"), 0)
    assert "stereo left open" in molecule.notes[0]


@pytest.mark.parametrize("limit", [1, 5])
def test_open_stereo_that_no_structure_has_is_refused(monkeypatch, limit):
    monkeypatch.setattr("models.data.molecule._isomers", lambda mol, limit, seed: iter(()))
    with pytest.raises(MoleculeError, match=r"atom 1 \(C\).*specify the stereo") as caught:
        build_molecules(read_smiles("CC(O)F"), 0, limit)
    assert caught.value.reason == "impossible_stereo"


def test_isomers_of_bridged_rings_can_exist():
    for molecule in build_molecules(read_smiles("CC1CC2CCC1C2"), 0, 2):
        copy = Chem.Mol(molecule.mol)
        assert rdDistGeom.EmbedMolecule(copy, randomSeed=1) == 0


@pytest.mark.parametrize(
    "smiles",
    ["C12C3C4C1C5C2C3C45", "C1C2CC3CC1CC(C2)C3", "NC12CC3CC(CC(C3)C1)C2"],
    ids=["cubane", "adamantane", "amine"],
)
def test_isomer_of_a_cage_is_found_in_few_attempts(smiles, monkeypatch):
    attempts, embed = [], room.EmbedMolecule

    def count(mol, **how):
        attempts.append(how.get("maxAttempts", 10 * mol.GetNumAtoms()))
        return embed(mol, **how)

    monkeypatch.setattr(room, "EmbedMolecule", count)
    mol = read_smiles(smiles)
    for seed in range(2):
        (chosen,) = build_molecules(mol, seed)
        assert rdDistGeom.EmbedMolecule(Chem.Mol(chosen.mol), randomSeed=1) == 0
        assert Chem.CanonSmiles(Chem.MolToSmiles(Chem.RemoveHs(chosen.mol), isomericSmiles=False)) == Chem.CanonSmiles(
            smiles
        )
    assert sum(attempts) < 1000


def test_isomer_of_a_long_chain_is_chosen():
    (chosen,) = build_molecules(read_smiles("CCCCCCCCCCCCCCCC(=O)OCC(F)COC(=O)CCCCCCCCCCCCCCCCCCCC"), 1)
    assert "was chosen by the seed" in chosen.notes[0]


def test_atom_maps_do_not_make_stereocentres():
    plain, mapped = (build_molecules(read_smiles(s), 0)[0] for s in ("C[C@H](C)O", "[CH3:1][C@H:2]([CH3:3])[OH:4]"))
    assert mapped.smiles == plain.smiles == "CC(C)O"
    assert (mapped.features.tokens == plain.features.tokens).all()


def test_stereo_beyond_tetrahedra_is_refused():
    with pytest.raises(MoleculeError):
        build_molecules(read_smiles("S[P@TB1](F)(Cl)(Br)N"), 0)


def test_canonical_smiles_is_a_fixed_point():
    for smiles in ("[CH3:1][C@H:2](N)C([2H])=O", "NC(C)=N", "OC[C@H]1OC(O)[C@H](O)[C@@H](O)[C@@H]1O", "C/C=N/O"):
        molecule = build_molecules(read_smiles(smiles), 0)[0]
        again = build_molecules(read_smiles(molecule.smiles), 0)[0]
        assert (again.smiles, again.notes) == (molecule.smiles, ())


def check_any_text(read, text):
    """A molecule or a `MoleculeError`, nothing else."""
    try:
        molecules = build_molecules(read(text), 0, 2)
    except MoleculeError as error:
        assert str(error)
        return
    for molecule in molecules:
        assert 1 <= molecule.num_atoms <= MAX_ATOMS
        assert len(molecule.features.tokens) == molecule.mol.GetNumAtoms()


SMILES_LIKE = st.text(st.sampled_from("CNOSPFIclnos[]()=#123+-@H/\\.%:*$~Br"), max_size=14)


@settings(max_examples=300, deadline=None)
@given(st.one_of(SMILES_LIKE, st.text(max_size=12), st.text(string.printable, max_size=12)))
def test_any_short_text_is_a_molecule_or_a_refusal(text):
    check_any_text(read_smiles, text)


@settings(max_examples=100, deadline=None)
@given(place=st.integers(0, 500), drop=st.integers(0, 30), new=st.text(" 0123456789CHON-.MXRQ*\n", max_size=4))
def test_any_damaged_molblock_is_a_molecule_or_a_refusal(files, place, drop, new):
    text = (files / "alanine_wedge.mol").read_text()
    check_any_text(read_molblock, text[:place] + new + text[place + drop :])


@pytest.mark.parametrize("smiles", ["OC(=O)C12CC(C1)C2", "C1C2CC1C2", "FC1C2CC1C2", "NC12CC(C1)(C2)C(F)(F)F"])
def test_bicyclopentane_has_one_stereoisomer(smiles):
    for seed in range(2):
        for many in (1, 2):
            (molecule,) = build_molecules(read_smiles(smiles), seed, many)
            assert molecule.smiles == Chem.CanonSmiles(smiles)
            assert not any(atom.GetChiralTag() for atom in molecule.mol.GetAtoms())
            assert (
                rdDistGeom.EmbedMolecule(Chem.Mol(molecule.mol), randomSeed=1) == 0
            )  # with labels RDKit finds no structure


def test_open_centre_beside_a_bicyclopentane_is_chosen_and_enumerated():
    mol = read_smiles("CC(F)C12CC(C1)C2")
    both = {Chem.CanonSmiles(s) for s in ("C[C@H](F)C12CC(C1)C2", "C[C@@H](F)C12CC(C1)C2")}
    assert {build_molecules(mol, seed)[0].smiles for seed in range(6)} == both
    assert "was chosen by the seed" in build_molecules(mol, 0)[0].notes[0]
    isomers = build_molecules(mol, 0, 3)
    assert {m.smiles for m in isomers} == both
    assert "stereoisomer 2 of 2" in isomers[1].notes[0]
    (given,) = build_molecules(read_smiles("C[C@H](F)C12CC(C1)C2"), 0)
    assert given.smiles == Chem.CanonSmiles("C[C@H](F)C12CC(C1)C2")
