"""Records of PDB files that molecules and backbones share."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from biotite.structure import AtomArrayStack
from biotite.structure.io.pdb import PDBFile

from models.errors import FormatError

_LIMIT_ANG = 999.0


def to_remarks(number: int, properties: Mapping[str, str]) -> list[str]:
    """REMARK lines with the properties of one model; long values take several lines."""
    return [
        f"REMARK 250 MODEL {number} {key.upper()} {value[k : k + 44]}"[:80]
        for key, value in properties.items()
        for k in range(0, max(len(value), 1), 44)
    ]


def to_atom_records(stack: AtomArrayStack, instead: str) -> list[list[str]]:
    """ATOM and HETATM lines of each model.

    Args:
        stack: Models of the same atoms.
        instead: Formats that hold any coordinate, for the error.

    Raises:
        FormatError: A coordinate does not fit into its columns.
    """
    if np.abs(stack.coord).max() > _LIMIT_ANG:
        raise FormatError(f"a coordinate is beyond 999 Å, which PDB cannot hold; ask for {instead}")
    plain = stack.copy()
    plain.bonds = None  # biotite would add CONECT records
    file = PDBFile()
    file.set_structure(plain)
    lines = [line for line in file.lines if line.startswith(("ATOM", "HETATM"))]
    count = stack.array_length()
    return [lines[k * count : (k + 1) * count] for k in range(stack.stack_depth())]
