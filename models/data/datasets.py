"""Training and reference sets on disk.

A set is an npz file with `smiles[M]`, `natom[M]`, `nconf[M]`, `z` (per molecule) and `pos` (Å; molecule-major, then
conformer, then atom), in the atom order of `Chem.AddHs(Chem.MolFromSmiles(smiles))`.  With `nguess[M]` and `guess`
(laid out like `pos`) it also holds rough guesses of each molecule.  Lengths may be whole numbers of `unit_ang`.
"""

import csv
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rdkit import Chem, rdBase

from models.errors import DataError

_KEYS = ("smiles", "natom", "nconf", "z", "pos")


@dataclass(frozen=True)
class ReferenceMolecule:
    """One molecule of a set with all of its conformers.

    Attributes:
        smiles: Isomeric SMILES that defines the atom order.
        numbers: Atomic numbers.  [N]
        coordinates: Å.  [C, N, 3]
        guesses: Rough structures, such as ETKDG makes them, Å; None if the set has none.  [G, N, 3]
        visits: How often one pass of a training over the data comes by.
    """

    smiles: str
    numbers: np.ndarray
    coordinates: np.ndarray
    guesses: np.ndarray | None = None
    visits: int = 1


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
        unit = float(data["unit_ang"]) if "unit_ang" in data else None
        has_guesses = "guess" in data and "nguess" in data
        nguess, guesses = (data["nguess"], data["guess"]) if has_guesses else (np.zeros_like(natom), positions[:0])

    def lengths(values: np.ndarray, atoms: int) -> np.ndarray:
        values = values.reshape(-1, atoms, 3)
        return values if unit is None else (values * unit).astype(np.float32)

    atom = row = rough = 0
    columns = (natom.tolist(), nconf.tolist(), nguess.tolist())
    for text, atoms, conformers, count in zip(smiles, *columns, strict=True):
        end, last = row + atoms * conformers, rough + atoms * count
        yield ReferenceMolecule(
            str(text),
            numbers[atom : atom + atoms],
            lengths(positions[row:end], atoms),
            lengths(guesses[rough:last], atoms) if count else None,
        )
        atom, row, rough = atom + atoms, end, last


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


def _csv_words(path: Path) -> Iterator[str]:
    """Every cell that could be a SMILES."""
    if not path.is_file():
        raise DataError(f"no list of test molecules at {path}")
    with path.open(newline="") as file:
        for row in csv.reader(file):
            yield from (cell for cell in row if cell and not cell.replace(".", "").isdigit())
