"""Sets of protein backbones on disk: N, CA, C and O of every residue of unbroken chains.

A set is an npz file with `planes` [2, 12, R], `offset` [M+1], `key` [M], `seq` and `ss` [R] (letters), `scope` [M],
`cluster40` [M], `split` [M] (0 train, 1 validation, 2 test) and `core` [M].  `planes` are the low and high bytes of
hundredths of an angstrom: rows 0 to 2 are the steps from CA to CA (each chain begins at 0), rows 3 to 11 N, C and O
seen from CA.

Axes: R residues of all chains, M chains.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.data.residues import FOLD_CLASSES, SECONDARY
from models.errors import DataError

TRAIN, VALIDATION, TEST = 0, 1, 2
_UNIT_ANG = 0.01
_COLUMNS = ("key", "seq", "ss", "scope", "cluster40", "split", "core")


@dataclass(frozen=True)
class BackboneSet:
    """Chains one after the other.

    Attributes:
        coordinates: N, CA, C, O, Å.  [R, 4, 3] float32
        offsets: First residue of each chain, and the end.  [M+1] int64
        keys: PDB id, chain and cut.  [M]
        sequence: One letter for each residue, as bytes.  [R] uint8
        secondary: Place in `SECONDARY`.  [R] uint8
        fold: Place of the SCOPe class in `FOLD_CLASSES` plus one; 0 where there is none.  [M] uint8
        cluster: Cluster of 40 % sequence identity.  [M] int32
        split: `TRAIN`, `VALIDATION` or `TEST`.  [M] uint8
        core: Whether the chain is compact and mostly helix and strand.  [M] bool
    """

    coordinates: np.ndarray
    offsets: np.ndarray
    keys: np.ndarray
    sequence: np.ndarray
    secondary: np.ndarray
    fold: np.ndarray
    cluster: np.ndarray
    split: np.ndarray
    core: np.ndarray

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def lengths(self) -> np.ndarray:
        """Residues of each chain.  [M]"""
        return np.diff(self.offsets)

    def chain(self, number: int) -> np.ndarray:
        """Coordinates of one chain, Å.  [L, 4, 3]"""
        return self.coordinates[self.offsets[number] : self.offsets[number + 1]]

    def share_of(self, letter: str) -> np.ndarray:
        """Share of each chain's residues that are `H`, `E` or `C`.  [M] float32"""
        hits = np.concatenate(([0], np.cumsum(self.secondary == SECONDARY.index(letter))))
        return (np.diff(hits[self.offsets]) / np.maximum(self.lengths, 1)).astype(np.float32)

    def select(self, wanted: np.ndarray) -> BackboneSet:
        """The chains where `wanted` is true.  [M] bool"""
        residues = np.repeat(wanted, self.lengths)
        return BackboneSet(
            self.coordinates[residues],
            np.concatenate(([0], np.cumsum(self.lengths[wanted]))),
            self.keys[wanted],
            self.sequence[residues],
            self.secondary[residues],
            self.fold[wanted],
            self.cluster[wanted],
            self.split[wanted],
            self.core[wanted],
        )


def read_backbones(path: Path) -> BackboneSet:
    """Read a set.

    Raises:
        DataError: The file is missing, or not such a set.
    """
    if not path.is_file():
        raise DataError(f"no data file at {path}; see README, section Data, for where to get one")
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path} is not an npz file")
    with np.load(path) as data:
        missing = [key for key in ("planes", "offset", *_COLUMNS) if key not in data]
        if missing:
            raise DataError(f"{path} lacks {', '.join(missing)}; it is not a set of backbones")
        offsets = data["offset"].astype(np.int64)
        columns = {name: data[name] for name in _COLUMNS}
        coordinates = _unpack(data["planes"], offsets)
    letters = np.zeros(256, np.uint8) + SECONDARY.index("C")
    letters[[ord(c) for c in SECONDARY]] = range(len(SECONDARY))
    folds = {letter: place for place, letter in enumerate(FOLD_CLASSES, 1)}
    return BackboneSet(
        coordinates,
        offsets,
        columns["key"],
        columns["seq"],
        letters[columns["ss"]],
        np.array([folds.get(str(label)[:1], 0) for label in columns["scope"]], np.uint8),
        columns["cluster40"],
        columns["split"],
        columns["core"],
    )


def _unpack(planes: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """[2, 12, R] uint8 -> [R, 4, 3] float32"""
    value = np.ascontiguousarray(planes.transpose(1, 2, 0)).view("<i2")[..., 0].astype(np.int32)
    path = np.cumsum(value[:3], axis=1)
    before = np.zeros((3, len(offsets) - 1), np.int64)
    before[:, 1:] = path[:, offsets[1:-1] - 1]
    anchor = (path - np.repeat(before, np.diff(offsets), axis=1)).T
    x = np.empty((len(anchor), 4, 3), np.float32)
    x[:, 1] = anchor
    x[:, [0, 2, 3]] = anchor[:, None] + value[3:].T.reshape(-1, 3, 3)
    return x * np.float32(_UNIT_ANG)
