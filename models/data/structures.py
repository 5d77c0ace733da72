"""Protein structures that people have, to unbroken backbone chains.

Axes: A atoms, R residues of a file, L residues of one chain, points N, CA, C, O.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from biotite.sequence import ProteinSequence

from models.data.peptides import BREAK_ANG, PEPTIDE_BREAK_ANG
from models.data.secondary import annotate_secondary
from models.data.structure_files import ATOMS, LIMIT_BYTES, Row, read_rows
from models.errors import StructureError

MOST_RESIDUES = 50_000
_MOST_NAME_CHARS = 32  # of a chain
_BOND_BREAK_ANG = 2.0  # N-CA, CA-C, C-O
_MOST_ANG = 100_000.0  # float32 still resolves a hundredth there
_HETERO = ("MSE",)  # selenomethionine, which crystallographers put in place of methionine
_LETTERS = {
    name: ProteinSequence.convert_letter_3to1(name)
    for name in (ProteinSequence.convert_letter_1to3(letter) for letter in "ACDEFGHIKLMNPQRSTVWY")
} | {"MSE": "M"}


@dataclass(frozen=True)
class Chain:
    """One unbroken stretch of a chain.

    Attributes:
        id: Name of the chain in the file; the author's, where there are two.
        part: Which stretch of that chain it is, from 0.
        numbers: Number of each residue in the file, with its insertion code, such as `52` and `52A`.  [L]
        coordinates: N, CA, C, O, Å.  [L, 4, 3] float32
        sequence: One letter for each residue, X where it is none of the twenty.
        secondary: Place in `models.data.peptides.SECONDARY`, by P-SEA.  [L] uint8
    """

    id: str
    part: int
    numbers: tuple[str, ...]
    coordinates: np.ndarray
    sequence: str
    secondary: np.ndarray

    def __len__(self) -> int:
        return len(self.numbers)


def read_chains(source: str | bytes | Path, limit_bytes: int = LIMIT_BYTES) -> list[Chain]:
    """Chains of the first model, cut where they are broken.

    A residue counts if it is among the ATOM records, or selenomethionine, and has N, CA, C and O with N-CA, CA-C and
    C-O of at most 2 Å.  The chain is cut at every other residue, and where C is more than 1.7 Å from the next N or CA
    more than 4.2 Å from the next CA.  Of alternate locations the one with the highest sum of occupancies over the
    backbone atoms of its residue is taken, the first letter of those that are equal.  Residues keep the order of the
    file.

    Args:
        source: Text of a PDB or mmCIF file, or the bytes or the path of one or of a BinaryCIF file; bytes and files may
            be compressed with gzip.  What strangers send is safe: time and memory grow with its size alone.
        limit_bytes: Most bytes, after decompression.

    Returns:
        Every stretch, also those of a single residue.

    Raises:
        StructureError: The structure is missing, too large, broken, or holds no residue with a backbone; a coordinate
            is not a number or beyond 100,000 Å.
    """
    rows = [row for row in read_rows(source, limit_bytes) if row.group != "HETATM" or row.residue in _HETERO]
    if not rows:
        raise StructureError(
            "the structure has no protein: no ATOM record (or MSE) is named N, CA, C or O; "
            f"allowed are {'PDB and mmCIF files' if isinstance(source, str) else 'PDB, mmCIF and BinaryCIF files'}",
            reason="no_protein",
        )
    long = max((row.chain for row in rows), key=len)
    if len(long) > _MOST_NAME_CHARS:
        raise StructureError(
            f"a chain has a name of {len(long)} characters, {long[:20]!r}...; at most {_MOST_NAME_CHARS}",
            reason="invalid_chain",
        )
    x, occupancy = _values(rows)
    chain = _number([row.chain for row in rows])
    residue = _number([f"{row.chain}\0{row.number}{row.insertion}" for row in rows])
    count = int(residue.max()) + 1
    if count > MOST_RESIDUES:
        raise StructureError(
            f"the structure has {count:,} residues; at most {MOST_RESIDUES:,}", reason="structure_too_large"
        )
    kept = np.flatnonzero(_resolve(residue, np.array([row.alt for row in rows]), occupancy))[::-1]
    index = np.full((count, len(ATOMS)), -1)  # backwards, so that the first of atoms with one name stays
    index[residue[kept], [ATOMS.index(rows[k].atom) for k in kept]] = kept
    head = np.zeros(count, np.int64)
    head[residue[kept]] = kept
    points = x[index]
    sound = _lengths(points[:, 1:] - points[:, :3]) <= _BOND_BREAK_ANG
    whole = np.asarray((index >= 0).all(1) & sound.all(1))
    if not whole.any():
        raise StructureError("the structure has no residue with all of N, CA, C and O in place", reason="no_protein")
    order = np.argsort(chain[head], kind="stable")
    stretches = _cut(order, points, chain[head], whole)
    parts: Counter[str] = Counter()
    chains = []
    for stretch in stretches:
        named = [rows[k] for k in head[stretch]]
        parts[named[0].chain] += 1
        chains.append(Chain(
            id=named[0].chain,
            part=parts[named[0].chain] - 1,
            numbers=tuple(row.number + row.insertion for row in named),
            coordinates=points[stretch].astype(np.float32),
            sequence="".join(_LETTERS.get(row.residue, "X") for row in named),
            secondary=annotate_secondary(points[stretch, 1]),
        ))  # fmt: skip
    return chains


def _number(words: Sequence[str]) -> np.ndarray:
    """Number of each word, from 0 in the order in which they appear.  [A]"""
    places: dict[str, int] = {}
    return np.array([places.setdefault(word, len(places)) for word in words])


def _values(rows: Sequence[Row]) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates and occupancies.  [A, 3], [A]"""
    values = np.array([[_value(word) for word in (row.x, row.y, row.z, row.occupancy or "1")] for row in rows])
    good = np.abs(values) <= _MOST_ANG  # false for NaN
    if not good.all():
        row = rows[int(good.all(1).argmin())]
        raise StructureError(
            f"atom {row.atom} of residue {row.chain:.8} {row.number:.8}{row.insertion:.8} has coordinates "
            f"{row.x:.12}, {row.y:.12}, {row.z:.12} and occupancy {row.occupancy:.12}; "
            f"all must be numbers up to {_MOST_ANG:,.0f}"
        )
    return values[:, :3], values[:, 3]


def _value(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return np.nan


def _resolve(residue: np.ndarray, alt: np.ndarray, occupancy: np.ndarray) -> np.ndarray:
    """True for atoms without alternatives and for those of the location that is kept.  [A] each -> [A] bool"""
    names, code = np.unique(alt, return_inverse=True)
    pairs, pair = np.unique(residue * len(names) + code, return_inverse=True)
    total = np.bincount(pair, occupancy)
    marked = np.flatnonzero(names[pairs % len(names)] != "")
    best = marked[np.lexsort((pairs[marked], -total[marked], pairs[marked] // len(names)))]
    _, first = np.unique(pairs[best] // len(names), return_index=True)
    return (alt == "") | np.isin(pair, best[first])


def _cut(order: np.ndarray, points: np.ndarray, chain: np.ndarray, whole: np.ndarray) -> list[np.ndarray]:
    """Unbroken stretches of residues.  [R], [R, 4, 3], [R], [R] -> [L] each"""
    before, after = order[:-1], order[1:]
    bonded = (
        (chain[before] == chain[after])
        & whole[before]
        & whole[after]
        & (_lengths(points[after, 0] - points[before, 2]) <= PEPTIDE_BREAK_ANG)
        & (_lengths(points[after, 1] - points[before, 1]) <= BREAK_ANG)
    )
    stretch = np.cumsum(np.append(True, ~bonded))[whole[order]]
    return np.split(order[whole[order]], np.flatnonzero(np.diff(stretch)) + 1)


def _lengths(v: np.ndarray) -> np.ndarray:
    return np.sqrt(np.square(v).sum(-1))
