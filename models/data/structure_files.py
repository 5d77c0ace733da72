"""Backbone atoms of PDB, mmCIF and BinaryCIF files, which anybody may have sent.

Text is read line by line, and of each line only what is asked for is kept: time grows with the size of the text, and
memory too.  BinaryCIF goes through biotite, after the sizes that it claims were checked, since a few bytes of it can
stand for gigabytes.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, NamedTuple

import msgpack
import numpy as np
from biotite.structure.io.pdbx import BinaryCIFColumn, BinaryCIFData

from models.errors import StructureError

ATOMS = ("N", "CA", "C", "O")
LIMIT_BYTES = 64 << 20
_LONGEST_LINE = 2048  # of CIF 1.1
_MOST_ATOMS, _LONGEST_WORD, _MOST_STEPS = 1_000_000, 32, 8  # of BinaryCIF
_GZIP = b"\x1f\x8b"


class Row(NamedTuple):
    """One atom, as it is written in the file."""

    group: str
    atom: str
    alt: str
    residue: str
    chain: str
    number: str
    insertion: str
    occupancy: str
    x: str
    y: str
    z: str


# columns of PDB, from the first to behind the last, in the order of `Row`
_PDB = (
    slice(0, 6), slice(12, 16), slice(16, 17), slice(17, 20), slice(21, 22), slice(22, 26), slice(26, 27),
    slice(54, 60), slice(30, 38), slice(38, 46), slice(46, 54),
)  # fmt: skip
# items of mmCIF, the first that is there; those of the author are the names that people use
_CIF = (
    ("group_pdb",), ("label_atom_id", "auth_atom_id"), ("label_alt_id",), ("auth_comp_id", "label_comp_id"),
    ("auth_asym_id", "label_asym_id"), ("auth_seq_id", "label_seq_id"), ("pdbx_pdb_ins_code",), ("occupancy",),
    ("cartn_x",), ("cartn_y",), ("cartn_z",),
)  # fmt: skip
_OPTIONAL = {"group": "ATOM", "alt": "", "insertion": "", "occupancy": "1"}
_MODEL = "pdbx_pdb_model_num"


def read_rows(source: str | bytes | Path, limit_bytes: int = LIMIT_BYTES) -> list[Row]:
    """Atoms N, CA, C and O of the first model, in the order of the file.

    Args:
        source: Text of a PDB or mmCIF file, or the bytes or the path of one or of a BinaryCIF file; bytes and files may
            be compressed with gzip.
        limit_bytes: Most bytes, after decompression.

    Returns:
        The atoms.

    Raises:
        StructureError: The file is missing, too large or broken.
    """
    content = _content(source, limit_bytes)
    if isinstance(content, bytes) and content[:1] >= b"\x80" and content[:3] != b"\xef\xbb\xbf":
        return list(_read_binary(content))
    text = content.lstrip("\ufeff") if isinstance(content, str) else content.decode("utf-8-sig", "replace")
    return list(_read_cif(text) if _is_cif(text) else _read_pdb(text))


def _content(source: str | bytes | Path, limit_bytes: int) -> str | bytes:
    """Text or bytes within the limit, decompressed."""
    words = f"structure is larger than {limit_bytes:,} bytes; send the chain that matters alone"
    if isinstance(source, str):
        if len(source) > limit_bytes:
            raise StructureError(f"the {words}", reason="structure_too_large")
        return source
    if isinstance(source, Path):
        if not source.is_file():
            raise StructureError(f"there is no structure file at {source}")
        with source.open("rb") as file:
            source = file.read(limit_bytes + 1)
    if source[:2] == _GZIP and len(source) <= limit_bytes:
        try:
            source = gzip.GzipFile(fileobj=BytesIO(source)).read(limit_bytes + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise StructureError(f"the gzip file is damaged: {error}") from None
    if len(source) > limit_bytes:
        raise StructureError(f"the {words}", reason="structure_too_large")
    return source


def _is_cif(text: str) -> bool:
    """Whether the first line that is not a comment begins something of CIF."""
    lines = (line.strip().lower() for line in StringIO(text, newline=None))
    first = next((line for line in lines if line and not line.startswith("#")), "")
    return first.startswith(("data_", "loop_", "_"))


def _read_pdb(text: str) -> Iterator[Row]:
    found = False
    for number, line in enumerate(StringIO(text, newline=None), 1):
        if line.startswith("ENDMDL") and found:
            return
        if line.startswith(("ATOM  ", "HETATM")) and line[12:16].strip() in ATOMS:
            if len(line.rstrip()) < 54:
                raise StructureError(f"line {number} of the PDB file ends before its coordinates: {line.rstrip()!r}")
            found = True
            yield Row(*(line[part].strip() for part in _PDB))


def _read_cif(text: str) -> Iterator[Row]:
    """Rows of the first table of atoms; each must be one line, as all programs write it."""
    names: list[str] = []
    places: list[int | None] = []
    inside_text = False
    model_place: int | None = None
    first_model = ""
    for number, line in enumerate(StringIO(text, newline=None), 1):
        if line.startswith(";"):
            inside_text = not inside_text
        elif inside_text:
            continue
        elif not places and line.lower().startswith("_atom_site."):
            names.append(line.split(None, 1)[0][len("_atom_site.") :].lower())
        elif names:
            if line[0] in "#_" or not line.strip() or line.lower().startswith(("loop_", "data_")):
                return
            if not places:
                places, model_place = _places(names), names.index(_MODEL) if _MODEL in names else None
            fields = line.split() if len(line) <= _LONGEST_LINE else []
            if len(fields) != len(names):
                raise StructureError(
                    f"line {number} of the mmCIF file has {len(fields)} values and the table of atoms has {len(names)} "
                    "columns; each atom must be one line"
                )
            if model_place is not None:
                first_model = first_model or fields[model_place]
                if fields[model_place] != first_model:
                    return
            row = _row([fields[place] if place is not None else None for place in places])
            if row.atom in ATOMS:
                yield row


def _read_binary(content: bytes) -> Iterator[Row]:
    try:
        document = msgpack.unpackb(content, raw=False)
        tables = (table for block in document["dataBlocks"] for table in block["categories"])
        table = next((table for table in tables if table["name"].lower() == "_atom_site"), None)
        if table is None:
            return
        columns = {column["name"].lower(): column for column in table["columns"]}
        names = [name for name in columns if name == _MODEL or any(name in items for items in _CIF)]
        for name in names:
            _check_sizes(columns[name])
        values = {name: BinaryCIFColumn.deserialize(columns[name]).as_array(str) for name in names}
        places = _places(names)
        kept = np.isin(values[names[places[1] or 0]], ATOMS)
        if _MODEL in values:
            kept &= values[_MODEL] == values[_MODEL][:1]
        empty = np.full(kept.sum(), None)
        picked = [empty if place is None else values[names[place]][kept] for place in places]
        yield from (_row(fields) for fields in zip(*(column.tolist() for column in picked), strict=True))
    except StructureError:
        raise
    except Exception as error:  # nobody promises what damaged bytes raise in msgpack and biotite
        raise StructureError(f"the BinaryCIF file cannot be read: {type(error).__name__}: {error!s:.100}") from None


def _check_sizes(column: dict[str, Any]) -> None:
    """Refuse a column that claims more values than a structure has, or words that no name of an atom needs."""
    pending: list[Any] = [part for part in (column["data"], column["mask"]) if part is not None]
    while pending:
        part = pending.pop()
        encodings = part["encoding"]
        if len(encodings) > _MOST_STEPS:
            raise StructureError(
                f"a column of the BinaryCIF file has {len(encodings)} encodings; at most {_MOST_STEPS}"
            )
        for encoding in encodings:
            size = encoding.get("srcSize", None if encoding["kind"] == "RunLength" else 0)
            if type(size) is not int or not 0 <= size <= _MOST_ATOMS:
                raise StructureError(
                    f"a column of the BinaryCIF file claims {size!r:.20} values; at most {_MOST_ATOMS:,}"
                )
            if encoding["kind"] == "StringArray":
                words = {"encoding": encoding["offsetEncoding"], "data": encoding["offsets"]}
                _check_sizes({"data": words, "mask": None})
                offsets = BinaryCIFData.deserialize(words).array.astype(np.int64)
                if len(offsets) and (offsets.min() < 0 or np.diff(offsets).max(initial=0) > _LONGEST_WORD):
                    raise StructureError(f"a word of the BinaryCIF file has more than {_LONGEST_WORD} letters")
                pending.append({"encoding": encoding["dataEncoding"]})


def _places(names: list[str]) -> list[int | None]:
    """Place of each item of `Row` among the columns; None for those that may be missing."""
    found = []
    for field, items in zip(Row._fields, _CIF, strict=True):
        place = next((names.index(item) for item in items if item in names), None)
        if place is None and field not in _OPTIONAL:
            raise StructureError(f"the table of atoms has no column {' or '.join(items)}")
        found.append(place)
    return found


def _row(fields: Sequence[str | None]) -> Row:
    """Values without quotes; those that are missing and need not be there get what they mean."""
    values = []
    for field, value in zip(Row._fields, fields, strict=True):
        if value is None or (value in (".", "?") and field in _OPTIONAL):
            values.append(_OPTIONAL[field])
        else:
            quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
            values.append(value[1:-1] if quoted else value)
    return Row(*values)
