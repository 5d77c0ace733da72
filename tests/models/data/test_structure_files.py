import gzip
import tracemalloc

import msgpack
import numpy as np
import pytest
from biotite.structure.io.pdbx import BinaryCIFBlock, BinaryCIFCategory, BinaryCIFFile, CIFBlock, CIFCategory, CIFFile
from hypothesis import given, settings
from hypothesis import strategies as st

from models.data.structure_files import Row, read_rows
from models.errors import StructureError

COLUMNS = {
    "group_PDB": ["ATOM", "ATOM", "HETATM", "ATOM"],
    "label_atom_id": ["N", "CA", "CA", "O"],
    "label_alt_id": [".", "A", "?", "."],
    "label_comp_id": ["ALA", "ALA", "MSE", "GLY"],
    "label_asym_id": ["A", "A", "A", "B"],
    "label_seq_id": ["1", "1", "2", "3"],
    "pdbx_PDB_ins_code": ["?", "?", "B", "?"],
    "occupancy": ["1.0", "0.5", "?", "1.0"],
    "Cartn_x": ["1.5", "2.5", "3.5", "4.5"],
    "Cartn_y": ["0.0", "0.0", "0.0", "0.0"],
    "Cartn_z": ["-1.0", "-1.0", "-1.0", "-1.0"],
}
ROWS = [
    Row("ATOM", "N", "", "ALA", "A", "1", "", "1.0", "1.5", "0.0", "-1.0"),
    Row("ATOM", "CA", "A", "ALA", "A", "1", "", "0.5", "2.5", "0.0", "-1.0"),
    Row("HETATM", "CA", "", "MSE", "A", "2", "B", "1", "3.5", "0.0", "-1.0"),
    Row("ATOM", "O", "", "GLY", "B", "3", "", "1.0", "4.5", "0.0", "-1.0"),
]


def cif(columns):
    return CIFFile({"x": CIFBlock({"cell": CIFCategory({"a": 1}), "atom_site": CIFCategory(columns)})}).serialize()


def bcif(columns):
    file = BinaryCIFFile({"x": BinaryCIFBlock({"atom_site": BinaryCIFCategory(columns)})})
    content = file.serialize()
    return msgpack.packb({**content, "encoder": "test", "version": "0.3.0"}, use_bin_type=True)


@pytest.mark.parametrize("write", [cif, bcif])
def test_table_of_atoms_is_read(write):
    assert read_rows(write(COLUMNS)) == ROWS


@pytest.mark.parametrize("write", [cif, bcif])
def test_names_of_the_author_come_first_and_columns_may_be_missing(write):
    named = read_rows(write(COLUMNS | {"auth_asym_id": ["X"] * 4, "auth_seq_id": ["7", "7", "8", "9"]}))
    assert [(row.chain, row.number) for row in named] == [("X", "7"), ("X", "7"), ("X", "8"), ("X", "9")]
    few = {key: COLUMNS[key] for key in COLUMNS if key not in ("group_PDB", "label_alt_id", "occupancy")}
    assert [(row.group, row.alt, row.occupancy) for row in read_rows(write(few))] == [("ATOM", "", "1")] * 4
    with pytest.raises(StructureError, match="the table of atoms has no column cartn_x"):
        read_rows(write({key: COLUMNS[key] for key in COLUMNS if key != "Cartn_x"}))


@pytest.mark.parametrize("write", [cif, bcif])
def test_first_model_alone_is_read_whatever_its_number(write):
    assert read_rows(write(COLUMNS | {"pdbx_PDB_model_num": ["3", "3", "1", "1"]})) == ROWS[:2]


@pytest.mark.parametrize("write", [cif, bcif])
def test_other_atoms_are_left_out(write):
    rows = read_rows(write(COLUMNS | {"label_atom_id": ["N", "CB", "O5'", "O"]}))
    assert [row.atom for row in rows] == ["N", "O"]


def test_quotes_and_text_fields_of_mmcif_are_understood():
    text = cif(COLUMNS).replace(" ALA ", " 'ALA' ").replace(" MSE ", ' "MSE" ')
    assert read_rows(text) == ROWS
    hidden = "data_x\n_a.b\n;\nloop_\n_atom_site.group_PDB\nATOM\n;\n" + cif(COLUMNS).split("\n", 1)[1]
    assert read_rows(hidden) == ROWS
    assert read_rows("\ufeff# comment\n\n" + text.upper()) == ROWS


def test_rows_of_another_length_are_refused_by_line():
    lines = cif(COLUMNS).splitlines()
    place = next(k for k, line in enumerate(lines) if line.startswith("ATOM"))
    for bad in (lines[place] + " more", "ATOM", "ATOM " * 2000):
        with pytest.raises(StructureError, match=rf"line {place + 1} of the mmCIF file has \d+ values .* 11 columns"):
            read_rows("\n".join([*lines[:place], bad, *lines[place + 1 :]]))


def test_short_lines_of_pdb_are_refused():
    with pytest.raises(StructureError, match="line 2 of the PDB file ends before its coordinates: 'ATOM      1  CA"):
        read_rows("HEADER\nATOM      1  CA  ALA A   1      11.000\n")


def test_large_files_are_refused_before_they_are_read(tmp_path):
    (tmp_path / "x.pdb").write_bytes(b" " * 101)
    for source in (" " * 101, b" " * 101, tmp_path / "x.pdb"):
        with pytest.raises(StructureError, match="structure is larger than 100 bytes") as caught:
            read_rows(source, 100)
        assert caught.value.reason == "structure_too_large"
    assert read_rows(b" " * 100, 100) == []
    bomb = gzip.compress(bytes(50_000_000))
    tracemalloc.start()
    with pytest.raises(StructureError, match="structure is larger than 100,000 bytes"):
        read_rows(bomb, 100_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


def test_missing_and_damaged_files_are_refused(tmp_path):
    with pytest.raises(StructureError, match=r"there is no structure file at .*none\.pdb"):
        read_rows(tmp_path / "none.pdb")
    for damaged in (b"\x1f\x8b", gzip.compress(b"ATOM" * 100)[:20], b"\x1f\x8b" + b"\0" * 30):
        with pytest.raises(StructureError, match="the gzip file is damaged"):
            read_rows(damaged)


def column(kind, **values):
    return {
        "name": "label_atom_id",
        "mask": None,
        "data": {"data": b"\1\0\0\0", "encoding": [{"kind": kind, **values}]},
    }


def packed(*columns):
    category = {"name": "_atom_site", "rowCount": 1, "columns": list(columns)}
    return msgpack.packb({"dataBlocks": [{"header": "x", "categories": [category]}]}, use_bin_type=True)


INTEGERS = [{"kind": "ByteArray", "type": 3}]


@pytest.mark.parametrize(
    ("bomb", "words"),
    [
        (column("RunLength", srcSize=2**31 - 1, srcType=3), "claims 2147483647 values; at most 1,000,000"),
        (column("RunLength", srcType=3), "claims None values"),
        (column("IntegerPacking", srcSize=-1, byteCount=1, isUnsigned=True), "claims -1 values"),
        (column("Delta", srcSize=1e300, origin=0, srcType=3), "claims 1e\\+300 values"),
        (
            column(
                "StringArray", stringData="A" * 33, offsets=np.array([0, 33], "<i4").tobytes(),
                offsetEncoding=INTEGERS, dataEncoding=INTEGERS,
            ),
            "a word of the BinaryCIF file has more than 32 letters",
        ),
        (
            column(
                "StringArray", stringData="A" * 33, offsets=np.array([-33, 33], "<i4").tobytes(),
                offsetEncoding=INTEGERS, dataEncoding=INTEGERS,
            ),
            "a word of the BinaryCIF file has more than 32 letters",
        ),
        (
            column(
                "StringArray", stringData="", offsets=b"", offsetEncoding=INTEGERS,
                dataEncoding=[{"kind": "RunLength", "srcSize": 2**40, "srcType": 3}],
            ),
            "claims 1099511627776 values",
        ),
        (column("ByteArray", type=3) | {"mask": {"data": b"", "encoding": INTEGERS * 9}}, "has 9 encodings; at most 8"),
    ],
)  # fmt: skip
def test_small_binary_files_cannot_claim_to_be_large(bomb, words):
    with pytest.raises(StructureError, match=words):
        read_rows(packed(bomb))


@pytest.mark.parametrize(
    "content",
    [
        b"\x83",
        b"\x80",
        b"\xff" * 100,
        packed()[:40],
        packed({}),
        packed(column("Other")),
        bcif(COLUMNS)[:-50],
        b"\x93\1\2\3",
    ],
)
def test_damaged_binary_files_are_refused(content):
    with pytest.raises(StructureError, match=r"BinaryCIF file cannot be read|no column"):
        read_rows(content)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), kind=st.sampled_from(["pdb", "cif", "bcif"]))
def test_damage_anywhere_is_refused_or_read(data, kind, pdb_lines):
    if kind == "pdb":
        whole = "\n".join(pdb_lines(np.ones((3, 4, 3)))).encode()
    else:
        whole = cif(COLUMNS).encode() if kind == "cif" else bcif(COLUMNS)
    place = data.draw(st.integers(0, len(whole)))
    length = data.draw(st.integers(0, 40))
    damaged = whole[:place] + data.draw(st.binary(max_size=20)) + whole[place + length :]
    try:
        assert all(isinstance(row, Row) for row in read_rows(damaged))
    except StructureError as error:
        assert str(error)


@settings(max_examples=50, deadline=None)
@given(text=st.text(alphabet="data_lop;#ATOM site.x\n 1'\"", max_size=300))
def test_any_text_is_refused_or_read(text):
    try:
        assert isinstance(read_rows(text), list)
    except StructureError as error:
        assert str(error)
