from dataclasses import replace
from io import StringIO

import gemmi
import numpy as np
import pytest
from biotite.structure.io.pdb import PDBFile
from biotite.structure.io.pdbx import CIFFile, get_structure
from rdkit import Chem

from models.data.molecule import build_molecules, read_smiles
from models.errors import FormatError
from models.export.macromolecular import to_mmcif, to_pdb
from models.export.text import one_line
from models.structure import Conformer, Ensemble, Finishing

SMILES = [
    "CCO",
    "[NH3+][C@@H](C)C([O-])=O",
    "ClCCBr",
    "C/C=C\\F",
    "C[Si](C)(C)C#N",
    "c1ccc2[nH]ccc2c1",
    "[H][H]",
    "[Cl-]",
]
HOSTILE = [
    "../../etc/passwd", "a\nATOM      1  C   ALA A   1", "data_x", "loop_", "_tag", "#", ";", "'", '"', "it's \"both\"",
    "a\x85HETATM    9", "a\u2028b", "?", ".", "", "  ", "é ü", "A" * 500, "$$$$", "x\nEND\n", "\x00", "stop_",
    "global_",
]  # fmt: skip


def symbols(mol):
    return [a.GetSymbol().upper() for a in mol.GetAtoms()]


def charges(mol):
    return [a.GetFormalCharge() for a in mol.GetAtoms()]


def many(smiles, count=1, name="x"):
    """Ensemble of any molecule, with made-up coordinates."""
    molecule = build_molecules(read_smiles(smiles, name), 0)[0]
    rng = np.random.default_rng(0)
    conformers = tuple(
        Conformer(k, k, rng.normal(size=(molecule.num_atoms, 3), scale=5).astype(np.float32)) for k in range(count)
    )
    return Ensemble(molecule, count, conformers, (), count, count)


def atoms_of(chain_like):
    return [atom for chain in chain_like for residue in chain for atom in residue]


@pytest.mark.parametrize("smiles", SMILES)
def test_pdb_is_read_by_biotite(ensemble_of, smiles):
    ensemble = ensemble_of(smiles, "my id", 3)
    mol = ensemble.molecule.mol
    stack = PDBFile.read(StringIO(to_pdb([ensemble], "m"))).get_structure(extra_fields=["charge"], include_bonds=True)
    expected = np.stack([c.coordinates for c in ensemble.conformers])
    np.testing.assert_allclose(stack.coord, expected, atol=6e-4)
    assert stack.element.tolist() == symbols(mol)
    assert stack.charge.tolist() == charges(mol)
    assert set(stack.res_name) == {"UNL"}
    assert stack.hetero.all()
    assert len(set(stack.atom_name)) == mol.GetNumAtoms()
    pairs = {frozenset(pair) for pair in stack.bonds.as_array()[:, :2].tolist()}
    assert pairs == {frozenset((b.GetBeginAtomIdx(), b.GetEndAtomIdx())) for b in mol.GetBonds()}


@pytest.mark.parametrize("smiles", SMILES)
def test_pdb_is_read_by_gemmi(ensemble_of, smiles):
    ensemble = ensemble_of(smiles, "my id", 3)
    text = to_pdb([ensemble], "m")
    structure = gemmi.read_pdb_string(text)
    assert len(structure) == 3
    assert all(len(line) <= 80 for line in text.splitlines())
    for model, conformer in zip(structure, ensemble.conformers, strict=True):
        atoms = atoms_of(model)
        np.testing.assert_allclose([a.pos.tolist() for a in atoms], conformer.coordinates, atol=6e-4)
        assert [a.element.name.upper() for a in atoms] == symbols(ensemble.molecule.mol)
        assert [a.charge for a in atoms] == charges(ensemble.molecule.mol)


def test_pdb_remarks_name_every_model(ensemble_of):
    ensemble = ensemble_of("C[C@H](N)C(=O)O", "my id", 2)
    remarks = [line for line in to_pdb([ensemble], "net").splitlines() if line.startswith("REMARK")]
    for number, seed in ((1, 100), (2, 101)):
        for words in ("ID my id", f"CONFORMER {number - 1}", f"SEED {seed}", "MODEL net", "SMILES C[C@H](N)C(=O)O"):
            assert f"REMARK 250 MODEL {number} {words}" in remarks


def test_energies_are_in_remarks_and_in_their_own_items(ensemble_of):
    made = ensemble_of("CCO", "x", 2)
    conformers = tuple(replace(c, relaxed=c.index == 0, energy_kcal_mol=-1.5 + c.index) for c in made.conformers)
    done = replace(made, conformers=conformers, finishing=Finishing("MMFF94s", "MMFF94s", -1.5))
    remarks = to_pdb([done], "m").splitlines()
    assert "REMARK 250 MODEL 1 ENERGY_KCAL_MOL -1.5000" in remarks
    assert "REMARK 250 MODEL 2 RELATIVE_ENERGY_KCAL_MOL 1.0000" in remarks
    assert "REMARK 250 MODEL 2 ENERGY_METHOD MMFF94s" in remarks
    keys = ["model_num", "relaxed", "energy_kcal_mol", "relative_energy_kcal_mol", "energy_method"]
    table = gemmi.cif.read_string(to_mmcif([done], "m"))[0].find("_shapespace_conformer.", keys)
    assert [list(row) for row in table] == [
        ["1", "MMFF94s", "-1.5000", "0.0000", "MMFF94s"],
        ["2", "no", "-0.5000", "1.0000", "MMFF94s"],
    ]


def test_long_smiles_is_whole_in_the_remarks():
    ensemble = many("C" * 40 + "N" + "C" * 30)
    lines = to_pdb([ensemble], "m").splitlines()
    chunks = [line.split(" SMILES ", 1)[1] for line in lines if " SMILES " in line]
    assert "".join(chunks) == ensemble.molecule.smiles
    assert max(map(len, lines)) <= 80


def test_several_molecules_are_further_models(ensemble_of):
    first, second = ensemble_of("CCO", "a", 2), ensemble_of("CF", "b", 1)
    empty = Ensemble(first.molecule, 1, (), (), 5, 0)
    text = to_pdb([first, empty, second], "m")
    assert [len(atoms_of(model)) for model in gemmi.read_pdb_string(text)] == [9, 9, 5]
    assert "CONECT" not in text
    assert "CONECT" in to_pdb([empty, second], "m")


def test_bonds_of_the_molecule_that_is_written_are_the_ones_connected(ensemble_of):
    first, second = ensemble_of("CCO", "a", 1), ensemble_of("CF", "b", 1)
    empty = Ensemble(first.molecule, 1, (), (), 5, 0)

    def connections(ensembles):
        return [line for line in to_pdb(ensembles, "m").splitlines() if line.startswith("CONECT")]

    assert connections([second, empty]) == connections([empty, second]) == connections([second])


@pytest.mark.parametrize("sign", [1, -1])
def test_coordinates_that_pdb_cannot_hold_are_refused(ensemble_of, sign):
    ensemble = ensemble_of("CCO", "x", 1)
    far = ensemble.conformers[0].coordinates + np.float32(1100 * sign)
    moved = Ensemble(ensemble.molecule, 1, (Conformer(0, 0, far),), (), 1, 1)
    with pytest.raises(FormatError, match="999 Å, which PDB cannot hold; ask for mmcif or sdf"):
        to_pdb([moved], "m")
    near = far - np.float32(110 * sign)
    text = to_pdb([Ensemble(ensemble.molecule, 1, (Conformer(0, 0, near),), (), 1, 1)], "m")
    (model,) = gemmi.read_pdb_string(text)
    np.testing.assert_allclose([a.pos.tolist() for a in atoms_of(model)], near, atol=6e-4)
    (block,) = gemmi.cif.read_string(to_mmcif([moved], "m"))
    np.testing.assert_allclose(np.array(block.find("_atom_site.", ["Cartn_x"]).column(0), float), far[:, 0], atol=1e-2)


@pytest.mark.parametrize("smiles", ["C" * 84 + "OO", "C(F)(F)" * 80, "C(Cl)(Cl)" * 80, "C(Br)(Br)" * 60])
def test_names_of_large_molecules_fit_and_differ(smiles):
    ensemble = many(smiles)
    mol = ensemble.molecule.mol
    assert mol.GetNumAtoms() > 180
    lines = [line for line in to_pdb([ensemble], "m").splitlines() if line.startswith("HETATM")]
    assert len({line[12:16].strip() for line in lines}) == mol.GetNumAtoms()
    assert [line[76:78].strip() for line in lines] == symbols(mol)
    (model,) = gemmi.read_pdb_string(to_pdb([ensemble], "m"))
    atoms = atoms_of(model)
    assert [a.element.name.upper() for a in atoms] == symbols(mol)
    np.testing.assert_allclose([a.pos.tolist() for a in atoms], ensemble.conformers[0].coordinates, atol=6e-4)


def test_names_of_the_input_are_kept_where_they_differ(ensemble_of):
    def names(given):
        mol = Chem.Mol(ensemble_of("O").molecule.mol)
        for atom, name in zip(mol.GetAtoms(), given, strict=True):
            atom.SetMonomerInfo(Chem.AtomPDBResidueInfo(f" {name:<3}"))
        molecule = build_molecules(mol, 0)[0]
        conformer = Conformer(0, 0, np.eye(3, dtype=np.float32))
        text = to_pdb([Ensemble(molecule, 1, (conformer,), (), 1, 1)], "m")
        return [line[12:16].strip() for line in text.splitlines() if line.startswith("HETATM")]

    assert names(["OW", "HA", "HB"]) == ["OW", "HA", "HB"]
    assert names(["OW", "H", "H"]) == ["O1", "H1", "H2"]


@pytest.mark.parametrize("name", HOSTILE)
def test_pdb_id_cannot_forge_a_record(ensemble_of, name):
    text = to_pdb([ensemble_of("CCO", name, 2)], "m")
    starts = {line[:6].strip() for line in text.splitlines()}
    assert starts == {"REMARK", "MODEL", "HETATM", "ENDMDL", "CONECT", "END"}
    assert sum(line.startswith("HETATM") for line in text.splitlines()) == 18
    assert all(len(line) <= 80 for line in text.splitlines())


@pytest.mark.parametrize("smiles", SMILES)
def test_mmcif_is_read_by_biotite_and_gemmi(ensemble_of, smiles):
    ensemble = ensemble_of(smiles, "my id", 3)
    mol = ensemble.molecule.mol
    text = to_mmcif([ensemble], "net")
    stack = get_structure(CIFFile.read(StringIO(text)), extra_fields=["charge"], include_bonds=True)
    expected = np.stack([c.coordinates for c in ensemble.conformers])
    np.testing.assert_allclose(stack.coord, expected, atol=1e-3)
    assert stack.element.tolist() == symbols(mol)
    assert stack.charge.tolist() == charges(mol)
    pairs = {frozenset(pair) for pair in stack.bonds.as_array()[:, :2].tolist()}
    assert pairs == {frozenset((b.GetBeginAtomIdx(), b.GetEndAtomIdx())) for b in mol.GetBonds()}

    block = gemmi.cif.read_string(text).sole_block()
    assert block.name == "my_id"
    structure = gemmi.make_structure_from_block(block)
    assert len(structure) == 3
    for model, conformer in zip(structure, ensemble.conformers, strict=True):
        atoms = atoms_of(model)
        np.testing.assert_allclose([a.pos.tolist() for a in atoms], conformer.coordinates, atol=1e-3)
        assert [a.element.name.upper() for a in atoms] == symbols(mol)
    table = block.find("_shapespace_conformer.", ["model_num", "id", "conformer", "seed", "model", "smiles"])
    rows = [[gemmi.cif.as_string(value) for value in row] for row in table]
    assert rows == [[str(k + 1), "my id", str(k), str(100 + k), "net", ensemble.molecule.smiles] for k in range(3)]


@pytest.mark.parametrize("name", HOSTILE)
def test_mmcif_survives_any_id(ensemble_of, name):
    ensembles = [ensemble_of("CCO", name, 2), ensemble_of("CF", name, 1)]
    text = to_mmcif(ensembles, "m")
    document = gemmi.cif.read_string(text)
    assert len(document) == 2
    assert document[0].name != document[1].name
    assert [len(gemmi.make_structure_from_block(block)) for block in document] == [2, 1]
    assert len(CIFFile.read(StringIO(text))) == 2
    for block in document:
        assert not [item for item in block if item.loop is None and item.pair is None]
        column = block.find("_shapespace_conformer.", ["seed"]).column(0)
        assert gemmi.cif.as_string(column[0]) == "100"
        (identity, *_) = block.find("_shapespace_conformer.", ["id"]).column(0)
        assert gemmi.cif.as_string(identity).strip() == one_line(name)


def test_mmcif_block_names_differ_whatever_the_case(ensemble_of):
    text = to_mmcif([ensemble_of("C", "Water", 1), ensemble_of("C", "water", 1)], "m")
    names = [block.name.lower() for block in gemmi.cif.read_string(text)]
    assert len(set(names)) == 2


def test_ensembles_without_conformers_leave_no_trace(ensemble_of):
    empty = Ensemble(ensemble_of("CCO").molecule, 1, (), (), 5, 0)
    assert to_mmcif([empty], "m") == ""
    assert to_pdb([empty], "m") == "END\n"
