"""Training and reference sets on disk.

A set is an npz file with `smiles[M]`, `natom[M]`, `nconf[M]`, `z` (per molecule) and `pos` (Å; molecule-major, then
conformer, then atom), in the atom order of `Chem.AddHs(Chem.MolFromSmiles(smiles))`.
"""

import csv
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from rdkit import Chem, rdBase

from models.data.elements import ELEMENT_CODE
from models.data.features import build_features
from models.errors import DataError
from models.structure import Features

_KEYS = ("smiles", "natom", "nconf", "z", "pos")


@dataclass(frozen=True)
class ReferenceMolecule:
    """One molecule of a set with all of its conformers.

    Attributes:
        smiles: Isomeric SMILES that defines the atom order.
        numbers: Atomic numbers.  [N]
        coordinates: Å.  [C, N, 3]
    """

    smiles: str
    numbers: np.ndarray
    coordinates: np.ndarray


@dataclass(frozen=True)
class PackedSet:
    """Features and coordinates of many conformers, padded to one size, ready to be indexed.

    Attributes:
        tokens: [M, N, F] uint8
        pairs: [M, N, N] int16
        bonded: [M, N, N] bool
        quadruples: [M, Q, 4] int16, padded with -1
        counts: Atoms of each.  [M] int16
        coordinates: Centred, Å.  [M, N, 3] float32
        automorphisms: Renumberings that no feature notices, padded with the identity; see `models.data.automorphisms`.
            None unless they were asked for.  [M, A, N] int16
    """

    tokens: np.ndarray
    pairs: np.ndarray
    bonded: np.ndarray
    quadruples: np.ndarray
    counts: np.ndarray
    coordinates: np.ndarray
    automorphisms: np.ndarray | None = None

    def arrays(self) -> dict[str, np.ndarray]:
        """Every array that is there, by name."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}


def read_set(path: Path) -> Iterator[ReferenceMolecule]:
    """Molecules of a set, one by one."""
    if not path.is_file():
        raise DataError(f"no data file at {path}; see README, section Data, for where to get one")
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path} is not an npz file")
    with np.load(path) as data:
        missing = [key for key in _KEYS if key not in data]
        if missing:
            raise DataError(f"{path} lacks {', '.join(missing)}; expected the keys {', '.join(_KEYS)}")
        smiles, natom, nconf, numbers, positions = (data[key] for key in _KEYS)
    atom = row = 0
    for text, atoms, conformers in zip(smiles, natom.tolist(), nconf.tolist(), strict=True):
        end = row + atoms * conformers
        yield ReferenceMolecule(
            str(text), numbers[atom : atom + atoms], positions[row:end].reshape(conformers, atoms, 3)
        )
        atom, row = atom + atoms, end


def flat_smiles(smiles: str) -> str | None:
    """Canonical SMILES without stereo, the key by which test molecules are kept out of training."""
    mol = Chem.MolFromSmiles(smiles)
    return None if mol is None else Chem.MolToSmiles(mol, isomericSmiles=False)


def read_excluded(paths: Iterable[Path]) -> set[str]:
    """Flat SMILES of every molecule in the given test sets (npz, or csv with SMILES in any column)."""
    excluded: set[str] = set()
    with rdBase.BlockLogs():
        for path in paths:
            texts = (m.smiles for m in read_set(path)) if path.suffix == ".npz" else _csv_words(path)
            excluded.update(key for key in map(flat_smiles, texts) if key)
    return excluded


def featurise(molecule: ReferenceMolecule, excluded: frozenset[str]) -> tuple[Features, np.ndarray] | str:
    """Features and centred coordinates of a training molecule, or the word for why it is left out.

    The handedness of each quadruple is read off the coordinates: in cages such as adamantane the SMILES fixes the tags
    only up to a renumbering of equivalent atoms.
    """
    mol = Chem.MolFromSmiles(molecule.smiles)
    if mol is None:
        return "unreadable"
    if Chem.MolToSmiles(mol, isomericSmiles=False) in excluded:
        return "test_molecule"
    mol = Chem.AddHs(mol)
    if mol.GetNumAtoms() != len(molecule.numbers):
        return "atom_count"
    if any(atom.GetAtomicNum() not in ELEMENT_CODE for atom in mol.GetAtoms()):
        return "unsupported_element"
    features = build_features(mol)
    x = molecule.coordinates[0]
    x = (x - x.mean(0)).astype(np.float32)
    quadruples = features.quadruples.copy()
    a, b, c, d = (x[quadruples[:, k]] for k in range(4))
    wrong = np.einsum("qd,qd->q", a - d, np.cross(b - d, c - d)) < 0
    quadruples[wrong, :2] = quadruples[wrong, 1::-1]
    return Features(features.tokens, features.pairs, features.bonded, quadruples), x


def pack(
    molecules: Iterable[ReferenceMolecule], excluded: Iterable[str], edges: tuple[int, ...], processes: int
) -> tuple[list[PackedSet], dict[str, int]]:
    """Featurise a set and pack it into one block per size bucket.

    Args:
        molecules: The set; the first conformer of each is used.
        excluded: Flat SMILES to leave out.
        edges: Largest atom count of each bucket, ascending; larger molecules are left out.
        processes: Worker processes.

    Returns:
        One block per bucket that has members.
        How many were kept, and how many left out for which reason.
    """
    buckets: dict[int, list[tuple[Features, np.ndarray]]] = {edge: [] for edge in edges}
    counts: dict[str, int] = {"kept": 0}
    work = partial(featurise, excluded=frozenset(excluded))
    with get_context("spawn").Pool(processes) as pool:
        for result in pool.imap(work, molecules, chunksize=256):
            edge = None if isinstance(result, str) else next((e for e in edges if len(result[1]) <= e), None)
            if isinstance(result, str) or edge is None:
                reason = result if isinstance(result, str) else "too_large"
                counts[reason] = counts.get(reason, 0) + 1
                continue
            counts["kept"] += 1
            buckets[edge].append(result)
    return [_block(members, edge) for edge, members in buckets.items() if members], counts


def save_packed(path: Path, blocks: list[PackedSet]) -> None:
    """Write blocks to one compressed npz file."""
    arrays: dict[str, Any] = {
        f"{k}.{name}": array for k, block in enumerate(blocks) for name, array in block.arrays().items()
    }
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)


def load_packed(path: Path) -> list[PackedSet]:
    """Read what `save_packed` wrote."""
    with np.load(path) as data:
        blocks: dict[str, dict[str, np.ndarray]] = {}
        for key in data.files:
            number, name = key.split(".")
            blocks.setdefault(number, {})[name] = data[key]
    return [PackedSet(**blocks[number]) for number in sorted(blocks, key=int)]


def repeat_rare_sizes(block: PackedSet, least: int) -> PackedSet:
    """Repeat the members of each atom count that has fewer than `least`, so that small molecules are learned too.

    QM9 has four molecules of five atoms and 17,000 of nineteen; without this a user's first try, such as ethanol, is
    the least trained of all.
    """
    sizes, counts = np.unique(block.counts, return_counts=True)
    rows = [np.arange(len(block.counts))]
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        if count < least:
            rows.append(np.resize(np.flatnonzero(block.counts == size), least - count))
    index = np.concatenate(rows)
    return PackedSet(**{name: array[index] for name, array in block.arrays().items()})


def _block(members: list[tuple[Features, np.ndarray]], size: int) -> PackedSet:
    total = len(members)
    most = max(1, max(len(f.quadruples) for f, _ in members))
    block = PackedSet(
        tokens=np.zeros((total, size, members[0][0].tokens.shape[1]), dtype=np.uint8),
        pairs=np.zeros((total, size, size), dtype=np.int16),
        bonded=np.zeros((total, size, size), dtype=bool),
        quadruples=np.full((total, most, 4), -1, dtype=np.int16),
        counts=np.array([f.num_tokens for f, _ in members], dtype=np.int16),
        coordinates=np.zeros((total, size, 3), dtype=np.float32),
    )
    for row, (features, x) in enumerate(members):
        n = features.num_tokens
        block.tokens[row, :n] = features.tokens
        block.pairs[row, :n, :n] = features.pairs
        block.bonded[row, :n, :n] = features.bonded
        block.quadruples[row, : len(features.quadruples)] = features.quadruples
        block.coordinates[row, :n] = x
    return block


def _csv_words(path: Path) -> Iterator[str]:
    """Every cell that could be a SMILES."""
    if not path.is_file():
        raise DataError(f"no list of test molecules at {path}")
    with path.open(newline="") as file:
        for row in csv.reader(file):
            yield from (cell for cell in row if cell and not cell.replace(".", "").isdigit())
