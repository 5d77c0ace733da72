import json
from dataclasses import asdict, replace
from io import BytesIO, StringIO

import gemmi
import msgpack
import numpy as np
import pytest
from biotite.structure.io.pdb import PDBFile
from biotite.structure.io.pdbx import BinaryCIFFile, CIFFile, get_sequence, get_structure
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from models.backbone import BackboneEnsemble
from models.data.report import report_backbones
from models.errors import FormatError
from models.export.backbones import ATOMS, sample_properties, to_bcif, to_mmcif, to_pdb, to_records
from models.export.text import one_line

ODD_IDS = st.one_of(
    st.text(max_size=100),
    st.sampled_from(
        ["", "data_x", "loop_", "_tag", "#", ";", "a\nATOM      1", 'it\'s "both"', "?", ".", "$$$$", "\x00"]
    ),
)
LENGTHS = st.one_of(st.integers(1, 256), st.sampled_from([1, 2, 12, 13, 14, 256]))
STARTS = {"HEADER", "TITLE", "EXPDTA", "NUMMDL", "REMARK", "SEQRES", "MODEL", "ATOM", "TER", "ENDMDL", "END"}


def points(ensemble):
    return np.stack([sample.coordinates for sample in ensemble.samples])


def read_biotite(kind, content, **options):
    if kind == "pdb":
        return PDBFile.read(StringIO(content)).get_structure(**options)
    file = CIFFile.read(StringIO(content)) if kind == "mmcif" else BinaryCIFFile.read(BytesIO(content))
    return get_structure(file, **options)


def read_gemmi(kind, content):
    if kind == "pdb":
        structure = gemmi.read_pdb_string(content)
    else:
        structure = gemmi.make_structure_from_block(gemmi.cif.read_string(content).sole_block())
    structure.setup_entities()
    return structure


WRITERS = {"pdb": to_pdb, "mmcif": to_mmcif, "bcif": to_bcif}


@pytest.mark.parametrize("residue", ["ALA", "GLY"])
@pytest.mark.parametrize("kind", WRITERS)
def test_backbones_are_read_by_biotite(sampled, kind, residue):
    ensemble = sampled(60, 3)
    stack = read_biotite(kind, WRITERS[kind]([ensemble], "m", residue), extra_fields=["occupancy", "b_factor"])
    np.testing.assert_allclose(stack.coord.reshape(3, 60, 4, 3), points(ensemble), atol=6e-4)
    assert stack.atom_name.tolist() == list(ATOMS) * 60
    assert stack.element.tolist() == ["N", "C", "C", "O"] * 60
    assert stack.res_id.tolist() == np.repeat(np.arange(1, 61), 4).tolist()
    assert (set(stack.res_name), set(stack.chain_id)) == ({residue}, {"A"})
    assert not stack.hetero.any()
    assert set(stack.occupancy) == {1.0} and set(stack.b_factor) == {0.0}


@pytest.mark.parametrize("residue", ["ALA", "GLY"])
@pytest.mark.parametrize("kind", ["pdb", "mmcif"])
def test_backbones_are_read_by_gemmi_as_a_polymer(sampled, kind, residue):
    ensemble = sampled(60, 3)
    structure = read_gemmi(kind, WRITERS[kind]([ensemble], "m", residue))
    assert [[chain.name for chain in model] for model in structure] == [["A"]] * 3
    (entity,) = structure.entities
    assert entity.entity_type == gemmi.EntityType.Polymer
    assert entity.polymer_type == gemmi.PolymerType.PeptideL
    assert entity.full_sequence == [residue] * 60
    for model, sample in zip(structure, ensemble.samples, strict=True):
        polymer = model["A"].get_polymer()
        assert [r.name for r in polymer] == [residue] * 60
        assert [r.seqid.num for r in polymer] == list(range(1, 61))
        assert {r.het_flag for r in polymer} == {"A"}
        atoms = [atom for r in polymer for atom in r]
        assert [a.name for a in atoms] == list(ATOMS) * 60
        assert {(a.occ, a.b_iso) for a in atoms} == {(1.0, 0.0)}
        np.testing.assert_allclose([a.pos.tolist() for a in atoms], sample.coordinates.reshape(-1, 3), atol=6e-4)


@pytest.mark.parametrize("kind", WRITERS)
def test_backbones_keep_their_hand(sampled, kind):
    ensemble = sampled(100)
    x = read_biotite(kind, WRITERS[kind]([ensemble], "m")).coord.reshape(1, 100, 4, 3)
    (report,), (before,) = report_backbones(x), report_backbones(points(ensemble))
    assert before.right_handed > 0.9 and before.negative_phi > 0.8
    assert (report.right_handed, report.negative_phi) == (before.right_handed, before.negative_phi)
    assert (report.fault, report.helix, report.strand) == (before.fault, before.helix, before.strand)


@settings(max_examples=10, deadline=None, phases=(Phase.explicit, Phase.generate))  # shrinking would take minutes
@given(length=LENGTHS, count=st.integers(1, 3), name=ODD_IDS)
def test_any_length_and_id_is_read_back(sampled, length, count, name):
    ensemble = sampled(length, count, name)
    for kind, write in WRITERS.items():
        stack = read_biotite(kind, write([ensemble], "m"))
        np.testing.assert_allclose(stack.coord.reshape(count, length, 4, 3), points(ensemble), atol=6e-4)
    text = to_pdb([ensemble], "m")
    assert {line[:6].strip() for line in text.splitlines()} == STARTS
    assert max(map(len, text.splitlines())) <= 80
    for kind in ("pdb", "mmcif"):
        structure = read_gemmi(kind, WRITERS[kind]([ensemble], "m"))
        assert [model.count_atom_sites() for model in structure] == [4 * length] * count
    block = gemmi.cif.read_string(to_mmcif([ensemble], "m")).sole_block()
    (identity, *_) = block.find("_shapespace_backbone.", ["id"]).column(0)
    assert gemmi.cif.as_string(identity).strip() == one_line(name)


def test_mmcif_has_the_sequence_and_the_properties(sampled):
    ensemble = sampled(30, 2, "my id", motif=0.25)
    text = to_mmcif([ensemble], "net")
    block = gemmi.cif.read_string(text).sole_block()
    assert block.name == "my_id"
    assert {str(letters) for letters in get_sequence(CIFFile.read(StringIO(text))).values()} == {"A" * 30}
    assert [list(row) for row in block.find("_entity_poly_seq.", ["entity_id", "num", "mon_id"])] == [
        ["1", str(k + 1), "ALA"] for k in range(30)
    ]
    keys = ["model_num", "id", "seed", "model", "attempts", "motif_rmsd_ang", "passed", "helix"]
    rows = [[gemmi.cif.as_string(v) for v in row] for row in block.find("_shapespace_backbone.", keys)]
    helix = f"{ensemble.samples[0].quality.helix:.4f}"
    passed = "yes" if ensemble.samples[0].quality.passed else "no"
    assert rows == [
        ["1", "my id", "100", "net", "1", "0.2500", passed, helix],
        ["2", "my id", "101", "net", "2", "0.2500", passed, helix],
    ]


def test_binary_cif_says_what_the_mmcif_says(sampled):
    ensembles = [sampled(30, 2, "one"), sampled(40, 1, "two")]
    content = to_bcif(ensembles, "net")
    text = CIFFile.read(StringIO(to_mmcif(ensembles, "net")))
    binary = BinaryCIFFile.read(BytesIO(content))
    assert list(binary) == list(text) == ["one", "two"]
    for name, block in text.items():
        assert set(binary[name]) == set(block)
        for category, columns in block.items():
            for key, column in columns.items():
                expected, found = column.as_array(), binary[name][category][key].as_array()
                if key in ("Cartn_x", "Cartn_y", "Cartn_z", "occupancy", "B_iso_or_equiv"):
                    expected, found = expected.astype(np.float32), found.astype(np.float32)
                assert found.astype(expected.dtype).tolist() == expected.tolist(), (category, key)
    raw = msgpack.unpackb(content)  # names as the format wants them
    assert [block["header"] for block in raw["dataBlocks"]] == ["one", "two"]
    assert "_atom_site" in {category["name"] for category in raw["dataBlocks"][0]["categories"]}


def test_binary_cif_is_small(sampled):
    ensemble = sampled(100, 4)
    assert len(to_bcif([ensemble], "m")) < len(to_mmcif([ensemble], "m")) / 2


def test_pdb_remarks_name_every_model(sampled):
    ensemble = sampled(30, 2, "my id")
    lines = to_pdb([ensemble], "net").splitlines()
    for number, sample in enumerate(ensemble.samples, 1):
        for key, value in sample_properties(ensemble, sample, "net").items():
            assert f"REMARK 250 MODEL {number} {key.upper()} {value}" in lines
    assert "REMARK 250 B FACTORS ARE 0: NO UNCERTAINTY IS ESTIMATED" in lines
    assert not any("MOTIF" in line for line in lines)


def test_chain_ends_with_a_ter_record(sampled):
    lines = to_pdb([sampled(30, 2)], "m", "GLY").splitlines()
    ends = [k for k, line in enumerate(lines) if line.startswith("TER")]
    assert [lines[k] for k in ends] == ["TER     121      GLY A  30"] * 2
    assert all(lines[k + 1] == "ENDMDL" and lines[k - 1][22:26] == "  30" for k in ends)


def test_head_of_a_pdb_file_keeps_to_its_columns(sampled):
    header, _, method, count, *_ = to_pdb([sampled(30, 12)], "m").splitlines()
    assert (header[10:50].strip(), header[50:59].strip(), header[62:66]) == ("DE NOVO PROTEIN", "", "XXXX")
    assert (method, count) == ("EXPDTA    THEORETICAL MODEL", "NUMMDL      12")


def test_several_lengths_are_further_blocks_and_not_for_pdb(sampled):
    first, second = sampled(30, 2, "same"), sampled(12, 1, "same")
    empty = BackboneEnsemble(1, "none", 64, (), "clash", "every draw failed")
    ensembles = [first, empty, second]
    with pytest.raises(FormatError, match="same atoms, not 12, 30 residues; ask for a zip, or mmcif"):
        to_pdb(ensembles, "m")
    assert [m.count_atom_sites() for m in gemmi.read_pdb_string(to_pdb(ensembles[:2], "m"))] == [120, 120]
    blocks = gemmi.cif.read_string(to_mmcif(ensembles, "m"))
    assert [len(gemmi.make_structure_from_block(block)) for block in blocks] == [2, 1]
    assert len({block.name for block in blocks}) == 2
    records = to_records(ensembles)
    assert [(r["status"], r["reason"], r["num_returned"]) for r in records] == [
        ("ok", None, 2), ("failed", "clash", 0), ("ok", None, 1),
    ]  # fmt: skip


def test_ensembles_without_samples_leave_no_trace():
    empty = BackboneEnsemble(0, "none", 64, (), "clash", "every draw failed")
    assert to_mmcif([empty], "m") == ""
    assert "ATOM" not in to_pdb([empty], "m")
    assert len(BinaryCIFFile.read(BytesIO(to_bcif([empty], "m")))) == 0


@pytest.mark.parametrize("kind", WRITERS)
def test_b_factors_of_each_residue_are_written(sampled, kind):
    ensemble = sampled(20, 2)
    b = np.random.default_rng(0).uniform(0, 99, (2, 20))
    content = WRITERS[kind]([ensemble], "m", b_factors=[b])
    for number in (1, 2):
        array = read_biotite(kind, content, model=number, extra_fields=["b_factor"])
        np.testing.assert_allclose(array.b_factor.reshape(20, 4), np.repeat(b[number - 1][:, None], 4, 1), atol=6e-3)
    if kind != "bcif":
        assert "no uncertainty" not in content.lower()


@pytest.mark.parametrize(
    "b", [np.zeros((1, 20)), np.full((2, 20), np.nan), np.full((2, 20), 1000.0), -np.ones((2, 20))]
)
def test_b_factors_that_do_not_fit_are_refused(sampled, b):
    with pytest.raises(FormatError, match=r"B factors must be \[2, 20\] numbers from 0 and below 1000"):
        to_pdb([sampled(20, 2)], "m", b_factors=[b])


@pytest.mark.parametrize("kind", WRITERS)
def test_what_cannot_be_written_is_refused(sampled, kind):
    ensemble = sampled(20)
    bad = ensemble.samples[0].coordinates.copy()
    bad[3, 1] = np.nan
    broken = replace(ensemble, samples=(replace(ensemble.samples[0], coordinates=bad),))
    with pytest.raises(FormatError, match="a coordinate of 'x' is not a finite number"):
        WRITERS[kind]([broken], "m")
    with pytest.raises(FormatError, match="unknown residue 'SER'; allowed: ALA, GLY"):
        WRITERS[kind]([ensemble], "m", "SER")


def test_coordinates_beyond_pdb_are_refused_and_fit_into_the_others(sampled):
    ensemble = sampled(20)
    far = replace(ensemble.samples[0], coordinates=ensemble.samples[0].coordinates + np.float32(1500))
    moved = replace(ensemble, samples=(far,))
    with pytest.raises(FormatError, match="999 Å, which PDB cannot hold; ask for mmcif or bcif"):
        to_pdb([moved], "m")
    for kind in ("mmcif", "bcif"):
        x = read_biotite(kind, WRITERS[kind]([moved], "m")).coord.reshape(1, 20, 4, 3)
        np.testing.assert_allclose(x, points(moved), atol=6e-4)


def test_too_many_models_for_pdb_are_refused(sampled):
    ensemble = sampled(1)
    many = replace(ensemble, samples=ensemble.samples * 10_000)
    with pytest.raises(FormatError, match="10,000 models are more than the 9,999 of PDB; ask for mmcif or bcif"):
        to_pdb([many], "m")


def test_records_are_plain_values(sampled):
    ensemble = sampled(12, 2, "my id", motif=0.5)
    (record,) = json.loads(json.dumps(to_records([ensemble]), allow_nan=False))
    assert (record["index"], record["id"], record["length"], record["status"]) == (0, "my id", 12, "ok")
    for found, sample in zip(record["samples"], ensemble.samples, strict=True):
        assert (found["seed"], found["attempts"], found["motif_rmsd_ang"]) == (sample.seed, sample.attempts, 0.5)
        assert found["quality"] == asdict(sample.quality)
        np.testing.assert_allclose(found["coordinates"], sample.coordinates, atol=6e-4)
    assert "coordinates" not in to_records([ensemble], coordinates=False)[0]["samples"][0]


def test_status_says_what_is_missing(sampled):
    ensemble = sampled(12, 2)
    partial = replace(ensemble, reason="clash", detail="one draw failed")
    assert [e.status for e in (ensemble, partial, replace(partial, samples=()))] == ["ok", "partial", "failed"]
