"""Labelled ensembles on disk: shards while they are made, one set in the end.

A set has the keys of `models.data.datasets` (`smiles`, `natom`, `nconf`, `z`, `pos`) and beside them `energy` (kcal/mol
above the lowest, per conformer), `nguess[M]`, `guess` (laid out like `pos`) and `header` (JSON).  Lengths are int16 in
thousandths of an angstrom.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.errors import DataError
from models.labels.label import Labelled

STEP_ANG = 0.001
_KEYS = ("smiles", "natom", "nconf", "z", "pos", "energy", "nguess", "guess")


def save_set(path: Path, molecules: Sequence[Labelled], header: dict) -> None:
    """Write a set; the file appears whole or not at all."""
    arrays = {
        "smiles": np.array([m.smiles for m in molecules]),
        "natom": np.array([len(m.numbers) for m in molecules], dtype=np.int16),
        "nconf": np.array([len(m.x) for m in molecules], dtype=np.int16),
        "nguess": np.array([len(m.guesses) for m in molecules], dtype=np.int16),
        "z": np.concatenate([m.numbers for m in molecules]),
        "pos": np.concatenate([_packed(m.x) for m in molecules]),
        "guess": np.concatenate([_packed(m.guesses) for m in molecules]),
        "energy": np.concatenate([m.energy for m in molecules]),
    }
    _write(path, arrays, header)


def merge_sets(path: Path, parts: Iterable[Path], header: dict) -> int:
    """Join sets into one, each molecule once.

    Returns:
        How many molecules there are.
    """
    seen: set[str] = set()
    columns: dict[str, list[np.ndarray]] = {key: [] for key in _KEYS}
    for part in parts:
        with np.load(part) as data:
            arrays = {key: data[key] for key in _KEYS}
        fresh = []
        for text in arrays["smiles"].tolist():
            fresh.append(text not in seen)
            seen.add(text)
        keep = np.array(fresh, dtype=bool)
        atoms = arrays["natom"].astype(np.int64)
        lengths = {
            "z": atoms, "pos": atoms * arrays["nconf"], "guess": atoms * arrays["nguess"], "energy": arrays["nconf"],
        }  # fmt: skip
        for key, values in arrays.items():
            columns[key].append(values[np.repeat(keep, lengths[key])] if key in lengths else values[keep])
    if not seen:
        raise DataError("there is nothing to join: no molecule was labelled")
    _write(path, {key: np.concatenate(values) for key, values in columns.items()}, header)
    return len(seen)


def read_header(path: Path) -> dict:
    """What a set says of itself."""
    with np.load(path) as data:
        return json.loads(str(data["header"])) if "header" in data else {}


def _packed(x: np.ndarray) -> np.ndarray:
    """[C, N, 3] Å -> [C*N, 3] int16"""
    return np.rint(x.reshape(-1, 3) / STEP_ANG).astype(np.int16)


def _write(path: Path, arrays: dict[str, np.ndarray], header: dict) -> None:
    fresh = path.with_name(path.name + ".new")
    whole: dict[str, Any] = {**arrays, "unit_ang": np.float64(STEP_ANG), "header": np.array(json.dumps(header))}
    with fresh.open("wb") as file:
        np.savez_compressed(file, **whole)
    fresh.replace(path)
