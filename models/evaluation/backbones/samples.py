"""Sampled backbones from files: npz, PDB, mmCIF and BinaryCIF.

Every model of a file is read, and as it is: a sample with a break is one faulty sample, not two sound chains.

Axes: S backbones of one length, L residues, points N, CA, C, O.  Coordinates in angstrom.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import biotite.structure as struc
import numpy as np
from biotite.structure.io.pdb import PDBFile
from biotite.structure.io.pdbx import BinaryCIFFile, CIFFile, get_model_count, get_structure

from models.data.structure_files import ATOMS
from models.errors import DataError
from models.evaluation.backbones.chains import SHORTEST

SUFFIXES = (".npz", ".pdb", ".cif", ".bcif")


def read_samples(path: Path, atoms: tuple[str, ...] = ATOMS) -> dict[str, np.ndarray]:
    """Backbones of a file, or of every file in a folder, by name.

    An npz file holds arrays `x_<length>` of [S, L, 4, 3] in Å, other files one backbone in each model.  Names are that
    of the file, and behind a `#` the number of the model where there are several, or array and row.

    Args:
        path: File or folder.
        atoms: Which atoms of each residue; one of an npz file's four where only that is asked for.

    Returns:
        Coordinates, Å.  [L, len(atoms), 3] each

    Raises:
        DataError: Nothing there, or something that cannot be read as backbones.
    """
    files = [path] if path.is_file() else sorted(p for p in path.glob("*") if p.suffix.lower() in SUFFIXES)
    if not files:
        raise DataError(f"no sample at {path}; allowed: a file or a folder of files {', '.join(SUFFIXES)}")
    columns = [ATOMS.index(atom) for atom in atoms]
    found = {}
    for file in files:
        if file.suffix.lower() == ".npz":
            found.update({name: x[:, columns] for name, x in _arrays(file)})
        else:
            models = _models(file, atoms)
            several = len(models) > 1
            found.update({f"{file.stem}#{k}" if several else file.stem: x for k, x in enumerate(models, 1)})
    short = [name for name, x in found.items() if len(x) < SHORTEST]
    if short:
        raise DataError(f"{short[0]} has {len(found[short[0]])} residues; at least {SHORTEST} are needed")
    return found


def _arrays(file: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Rows of all arrays `x_<length>`."""
    if not zipfile.is_zipfile(file):
        raise DataError(f"{file} is not an npz file")
    with np.load(file) as data:
        names = [name for name in data.files if name.startswith("x_")]
        if not names:
            raise DataError(f"{file} has no array named x_<length>, such as x_100; it has {', '.join(data.files)}")
        for name in names:
            x = data[name]
            if x.ndim != 4 or x.shape[2:] != (4, 3):
                raise DataError(f"{name} of {file} has the shape {list(x.shape)}; needed is [samples, residues, 4, 3]")
            yield from ((f"{file.stem}#{name}_{k}", row.astype(np.float64)) for k, row in enumerate(x))


def _models(file: Path, atoms: tuple[str, ...]) -> list[np.ndarray]:
    """Every model of every block of a structure file."""
    try:
        models = list(_read(file))
    except Exception as error:  # biotite raises many kinds for broken files
        raise DataError(f"{file} cannot be read: {error}; allowed are PDB, mmCIF and BinaryCIF files") from None
    if not models:
        raise DataError(f"{file} holds no structure; allowed are PDB, mmCIF and BinaryCIF files")
    return [_backbone(model[struc.filter_amino_acids(model)], file, atoms) for model in models]


def _read(file: Path) -> Iterator[struc.AtomArray]:
    suffix = file.suffix.lower()
    if suffix == ".pdb":
        text = PDBFile.read(file)
        yield from (text.get_structure(model=number) for number in range(1, text.get_model_count() + 1))
        return
    blocks = (CIFFile if suffix == ".cif" else BinaryCIFFile).read(file)
    for block in blocks.values():
        for number in range(1, get_model_count(block) + 1):
            yield get_structure(block, model=number, use_author_fields=False)


def _backbone(model: struc.AtomArray, file: Path, atoms: tuple[str, ...]) -> np.ndarray:
    """[L, len(atoms), 3]"""
    kept = [model[model.atom_name == atom] for atom in atoms]
    residues = [list(zip(part.chain_id, part.res_id, part.ins_code, strict=True)) for part in kept]
    if not residues[0] or any(other != residues[0] for other in residues):
        raise DataError(f"{file} lacks {', '.join(atoms)} of some residues; every residue needs all of them")
    return np.stack([part.coord for part in kept], axis=1).astype(np.float64)
