"""Sets of protein backbones on disk: N, CA, C and O of every residue of unbroken chains.

A set is an npz file with `planes` [2, 12, R], `offset` [M+1], `key` [M], `seq` and `ss` [R] (letters), `scope` [M],
`cluster40` [M], `split` [M] (0 train, 1 validation, 2 test) and `core` [M].  `planes` are the low and high bytes of
hundredths of an angstrom: rows 0 to 2 are the steps from CA to CA (each chain begins at 0), rows 3 to 11 N, C and O
seen from CA.  `about`, JSON of how the set was made, is for people.

Axes: R residues of all chains, M chains.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.data.peptides import FOLD_CLASSES, SECONDARY
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


def write_backbones(path: Path, chains: BackboneSet, about: Mapping[str, Any] | None = None) -> None:
    """Write a set that `read_backbones` reads again; each chain then begins with its CA at the origin.

    Args:
        path: The npz file; it is there whole or not at all.
        chains: Coordinates are rounded to hundredths of an angstrom.
        about: How it was made, plain JSON values.

    Raises:
        DataError: Neighbours in a chain are more than 327 Å apart, or a chain has no residues.
    """
    if not chains.lengths.all():
        raise DataError(f"chain {chains.keys[chains.lengths.argmin()]} has no residues")
    arrays = {
        "planes": _pack(chains.coordinates, chains.offsets),
        "offset": chains.offsets.astype(np.int32),
        "key": chains.keys,
        "seq": chains.sequence.astype(np.uint8),
        "ss": np.frombuffer(SECONDARY.encode(), np.uint8)[chains.secondary],
        "scope": np.array(["", *FOLD_CLASSES])[chains.fold],
        "cluster40": chains.cluster.astype(np.int32),
        "split": chains.split.astype(np.uint8),
        "core": chains.core.astype(bool),
        "about": np.array(json.dumps(about or {})),
    }
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            np.savez_compressed(file, **arrays)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _pack(x: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """[R, 4, 3] float32 -> [2, 12, R] uint8"""
    whole = np.rint(x.astype(np.float64) / _UNIT_ANG)
    anchor = whole[:, 1]
    step = np.diff(anchor, axis=0, prepend=anchor[:1])
    step[offsets[:-1]] = 0
    value = np.concatenate((step, (whole[:, [0, 2, 3]] - anchor[:, None]).reshape(-1, 9)), axis=1)
    if not (np.abs(value) < 2**15).all():
        raise DataError("atoms of neighbouring residues are more than 327 Å apart or not finite; cut the chain there")
    return np.ascontiguousarray(value.T.astype("<i2")).view(np.uint8).reshape(12, -1, 2).transpose(2, 0, 1)


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
