"""What files say of a chain of equal residues besides its atoms, so that readers see a polymer.

The names are those of the dictionary of mmCIF.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from models.errors import FormatError

# type, name, formula, letter
RESIDUES = {
    "ALA": ("L-peptide linking", "ALANINE", "C3 H7 N O2", "A"),
    "GLY": ("peptide linking", "GLYCINE", "C2 H5 N O2", "G"),
}
_PER_LINE = 13


def check_residue(residue: str) -> None:
    """Refuse unknown residues.

    Raises:
        FormatError: It is not in `RESIDUES`.
    """
    if residue not in RESIDUES:
        raise FormatError(f"unknown residue {residue!r}; allowed: {', '.join(RESIDUES)}")


def sequence_records(residue: str, length: int) -> list[str]:
    """SEQRES lines of PDB for chain A."""
    return [
        f"SEQRES {start // _PER_LINE + 1:3d} A {length:4d}  {' '.join([residue] * min(_PER_LINE, length - start))}"
        for start in range(0, length, _PER_LINE)
    ]


def polymer_categories(residue: str, length: int, title: str, details: str) -> dict[str, dict[str, Any]]:
    """Categories of mmCIF for one polymer entity, chain A.

    Args:
        residue: Key of `RESIDUES`.
        length: Residues.
        title: What the structure is.
        details: How it was made.

    Returns:
        Columns of each category.
    """
    kind, name, formula, letter = RESIDUES[residue]
    return {
        "entry": {"id": "backbone"},
        "struct": {"entry_id": "backbone", "title": title, "pdbx_model_details": details},
        "exptl": {"entry_id": "backbone", "method": "THEORETICAL MODEL"},
        "chem_comp": {"id": residue, "type": kind, "mon_nstd_flag": "y", "name": name, "formula": formula},
        "entity": {"id": "1", "type": "polymer", "src_method": "syn", "pdbx_description": title},
        "entity_poly": {
            "entity_id": "1",
            "type": "polypeptide(L)",
            "nstd_linkage": "no",
            "nstd_monomer": "no",
            "pdbx_seq_one_letter_code": letter * length,
            "pdbx_seq_one_letter_code_can": letter * length,
            "pdbx_strand_id": "A",
        },
        "entity_poly_seq": {
            "entity_id": np.full(length, "1"),
            "num": np.arange(1, length + 1),
            "mon_id": np.full(length, residue),
        },
        "struct_asym": {"id": "A", "entity_id": "1"},
    }
