import json
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from rdkit import Chem

from models.data.molecule import build_molecules, read_molblock
from models.data.verify import perceived_smiles
from models.export.molecule import record_properties, to_sdf, to_summary, to_values, to_xyz
from models.export.text import one_line
from models.structure import Conformer, Ensemble, Finishing, Problem

SMILES = [
    "CCO",
    "[13CH3:7][NH2+:2][CH2:3][C:4](=O)[O-:5]",
    "C[C@H](N)C(=O)O",
    "C/C=C\\C=C\\F",
    "c1ccc2[nH]ccc2c1",
    "C[S@](=O)c1ccccc1",
    "[2H]OC",
    "[O-][N+](=O)c1ccncc1",
    "C[Si](C)(C)C#N",
    "[H][H]",
    "[Cl-]",
]
HOSTILE = [
    "../../etc/passwd",
    "a\nb",
    "$$$$",
    "x\r\n$$$$\r\nforged",
    "a\u2028b",
    "a\x85b",
    "\x00",
    "é ü",
    "A" * 500,
    "",
]


@pytest.fixture
def finished(ensemble_of):
    """Two of five conformers, ranked; the second was put back after relaxing."""
    made = ensemble_of("CCO", "x", 2)
    zero, one = made.conformers
    done = Finishing(
        "MMFF94s", "MMFF94s", -3.25, (Problem("duplicate", "near", 3),), (Problem("relaxation_rejected", "bad", 1),)
    )
    best, other = replace(one, relaxed=True, energy_kcal_mol=-3.25), replace(zero, energy_kcal_mol=-1.12345)
    return replace(made, requested=5, conformers=(best, other), finishing=done)


def read_sdf(text):
    with BytesIO(text.encode()) as file:
        return list(Chem.ForwardSDMolSupplier(file, removeHs=False))


def labels(mol):
    return [(a.GetSymbol(), a.GetFormalCharge(), a.GetIsotope(), a.GetAtomMapNum()) for a in mol.GetAtoms()]


def bonds(mol):
    mol = Chem.Mol(mol)
    return {frozenset((b.GetBeginAtomIdx(), b.GetEndAtomIdx())): b.GetBondType() for b in mol.GetBonds()}


@pytest.mark.parametrize("smiles", SMILES)
def test_sdf_gives_the_molecule_back(ensemble_of, smiles):
    ensemble = ensemble_of(smiles, "my id", 2)
    read = read_sdf(to_sdf(ensemble, "small"))
    assert len(read) == 2
    for mol, conformer in zip(read, ensemble.conformers, strict=True):
        assert labels(mol) == labels(ensemble.molecule.mol)
        assert bonds(mol) == bonds(ensemble.molecule.mol)
        np.testing.assert_allclose(mol.GetConformer().GetPositions(), conformer.coordinates, atol=1e-4)
        assert mol.GetConformer().Is3D()
        assert perceived_smiles(ensemble.molecule.mol, mol.GetConformer().GetPositions()) == ensemble.molecule.smiles
        assert mol.GetPropsAsDict(autoConvertStrings=False) == {
            "id": "my id",
            "conformer": str(conformer.index),
            "seed": str(conformer.seed),
            "model": "small",
            "smiles": ensemble.molecule.smiles,
        }
        assert mol.GetProp("_Name") == "my id"


def test_sdf_stereo_reads_back_from_the_record_alone(ensemble_of):
    for smiles in ("C[C@H](N)C(=O)O", "C/C=C\\C=C\\F", "C[S@](=O)c1ccccc1"):
        ensemble = ensemble_of(smiles)
        for mol in read_sdf(to_sdf(ensemble, "m")):
            assert Chem.MolToSmiles(Chem.RemoveHs(mol)) == ensemble.molecule.smiles


@pytest.mark.parametrize("name", HOSTILE)
def test_sdf_id_cannot_forge_a_record(ensemble_of, name):
    ensemble = ensemble_of("CCO", name, 3)
    text = to_sdf(ensemble, "m")
    assert text.count("$$$$") == 3
    read = read_sdf(text)
    assert [mol.GetProp("conformer") for mol in read] == ["0", "1", "2"]
    assert {mol.GetProp("id") for mol in read} == {one_line(name)}
    assert all(len(line) <= 200 for line in text.splitlines())


@pytest.mark.parametrize(
    ("comment", "tail"), [("$$$$", ""), ("M  END", ""), ("", "A    1\n$$$$\n"), ("", "A    1\nM  END\n")]
)
def test_text_inside_a_molblock_cannot_forge_a_record(files, comment, tail):
    head, program, _, *rest = (files / "alanine_3d.mol").read_text().split("\n")
    block = "\n".join([head, program, comment, *rest]).replace("M  END", f"{tail}M  END")
    molecule = build_molecules(read_molblock(block, "x"), 0)[0]
    x = np.random.default_rng(0).normal(size=(molecule.num_atoms, 3)).astype(np.float32)
    text = to_sdf(Ensemble(molecule, 1, (Conformer(0, 0, x),), (), 1, 1), "m")
    assert text.count("$$$$") == 1
    assert text.count("M  END") == 1
    assert len(read_sdf(text)) == 1


def test_sdf_is_written_as_v2000_whatever_was_read(files):
    block = (files / "alanine_3d_v3000.mol").read_text()
    racemic = block.replace(
        "M  V30 END CTAB",
        "M  V30 BEGIN COLLECTION\nM  V30 MDLV30/STERAC1 ATOMS=(1 2)\nM  V30 END COLLECTION\nM  V30 END CTAB",
    )
    for text in (block, racemic):
        molecule = build_molecules(read_molblock(text, "x"), 0)[0]
        x = np.zeros((molecule.num_atoms, 3), np.float32)
        assert "V2000" in to_sdf(Ensemble(molecule, 1, (Conformer(0, 0, x),), (), 1, 1), "m")


def test_writing_leaves_the_molecule_as_it_was(ensemble_of):
    ensemble = ensemble_of("C[C@H](N)C(=O)O", "id\nx")
    before = Chem.MolToCXSmiles(ensemble.molecule.mol), ensemble.molecule.mol.GetNumConformers()
    to_sdf(ensemble, "m")
    assert (Chem.MolToCXSmiles(ensemble.molecule.mol), ensemble.molecule.mol.GetNumConformers()) == before


def frames_of(text):
    lines = text.split("\n")
    frames = []
    while lines and lines[0]:
        size = int(lines[0]) + 2
        frames.append("\n".join(lines[:size]) + "\n")
        lines = lines[size:]
    assert lines == [""]
    return frames


@pytest.mark.parametrize("smiles", SMILES)
def test_xyz_frames_read_back(ensemble_of, smiles):
    ensemble = ensemble_of(smiles, "my id", 3)
    frames = frames_of(to_xyz(ensemble, "m"))
    assert len(frames) == 3
    for frame, conformer in zip(frames, ensemble.conformers, strict=True):
        mol = Chem.MolFromXYZBlock(frame)
        expected = [a.GetSymbol() for a in ensemble.molecule.mol.GetAtoms()]
        assert [a.GetSymbol() for a in mol.GetAtoms()] == expected
        np.testing.assert_allclose(mol.GetConformer().GetPositions(), conformer.coordinates, atol=1e-5)
        fields = dict(pair.split("=", 1) for pair in frame.split("\n")[1].split(" "))
        assert fields == {
            "id": "my_id", "conformer": str(conformer.index), "seed": str(conformer.seed), "model": "m",
            "smiles": ensemble.molecule.smiles,
        }  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_xyz_id_cannot_forge_a_frame(ensemble_of, name):
    text = to_xyz(ensemble_of("CCO", name, 2), "m")
    assert len(frames_of(text)) == 2
    assert len(text.splitlines()) == 2 * 11


def test_xyz_columns_stay_apart_for_large_coordinates(ensemble_of):
    ensemble = ensemble_of("CCO", count=1)
    far = Conformer(0, 0, ensemble.conformers[0].coordinates - np.float32(99_999))
    frame = to_xyz(Ensemble(ensemble.molecule, 1, (far,), (), 1, 1), "m")
    np.testing.assert_allclose(Chem.MolFromXYZBlock(frame).GetConformer().GetPositions(), far.coordinates, atol=1e-5)


@pytest.mark.parametrize("smiles", SMILES)
def test_values_are_plain_json(ensemble_of, smiles):
    ensemble = ensemble_of(smiles)
    values = to_values(ensemble)
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    mol = ensemble.molecule.mol
    assert [(a["element"], a["charge"], a["isotope"], a["map"]) for a in values["atoms"]] == labels(mol)
    assert [(b["begin"], b["end"], b["order"]) for b in values["bonds"]] == [
        (b.GetBeginAtomIdx(), b.GetEndAtomIdx(), b.GetBondTypeAsDouble()) for b in mol.GetBonds()
    ]
    for x, conformer in zip(values["coordinates"], ensemble.conformers, strict=True):
        np.testing.assert_allclose(x, conformer.coordinates, atol=5.1e-5)
        assert all(round(c, 4) == c for atom in x for c in atom)


def test_summary_says_what_became_of_a_molecule(ensemble_of):
    made = ensemble_of("CC(O)F", "x", 2)
    ensemble = Ensemble(made.molecule, 3, made.conformers, (Problem("clash", "words", 1),), 9, 1)
    assert to_summary(ensemble) == {
        "id": "x",
        "status": "partial",
        "smiles": made.molecule.smiles,
        "num_requested": 3,
        "num_returned": 2,
        "num_pruned": 0,
        "notes": list(made.molecule.notes),
        "problems": [{"reason": "clash", "detail": "words", "count": 1}],
        "finish": None,
        "conformers": [
            {
                "index": k,
                "seed": 100 + k,
                "stereo_ok": True,
                "relaxed": False,
                "energy_kcal_mol": None,
                "relative_energy_kcal_mol": None,
                "energy_method": None,
            }
            for k in range(2)
        ],
    }
    assert json.loads(json.dumps(to_summary(ensemble))) == to_summary(ensemble)


def test_summary_of_a_finished_ensemble_counts_what_was_left_out(finished):
    summary = to_summary(finished)
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert (summary["status"], summary["num_requested"], summary["num_returned"], summary["num_pruned"]) == (
        "ok", 5, 2, 3,
    )  # fmt: skip
    assert summary["finish"] == {
        "relax": "MMFF94s",
        "energy_method": "MMFF94s",
        "removed": [{"reason": "duplicate", "detail": "near", "count": 3}],
        "problems": [{"reason": "relaxation_rejected", "detail": "bad", "count": 1}],
    }
    assert summary["conformers"] == [
        {
            "index": index,
            "seed": 100 + index,
            "stereo_ok": True,
            "relaxed": relaxed,
            "energy_kcal_mol": energy,
            "relative_energy_kcal_mol": above,
            "energy_method": "MMFF94s",
        }
        for index, relaxed, energy, above in ((1, True, -3.25, 0.0), (0, False, -1.1235, 2.1265))
    ]


def test_finished_records_say_energy_and_method(finished):
    expected = [
        {"relaxed": "MMFF94s", "energy_kcal_mol": "-3.2500", "relative_energy_kcal_mol": "0.0000"},
        {"relaxed": "no", "energy_kcal_mol": "-1.1235", "relative_energy_kcal_mol": "2.1265"},
    ]
    sdf = [mol.GetPropsAsDict(autoConvertStrings=False) for mol in read_sdf(to_sdf(finished, "m"))]
    xyz = [dict(pair.split("=", 1) for pair in f.split("\n")[1].split(" ")) for f in frames_of(to_xyz(finished, "m"))]
    for records in (sdf, xyz):
        assert [record["conformer"] for record in records] == ["1", "0"]
        for record, fields in zip(records, expected, strict=True):
            assert fields.items() <= record.items()
            assert record["energy_method"] == "MMFF94s"


def test_every_record_says_what_it_is(ensemble_of):
    ensemble = ensemble_of("C", "x")
    assert list(record_properties(ensemble, ensemble.conformers[0], "m")) == [
        "id", "conformer", "seed", "model", "smiles",
    ]  # fmt: skip
