"""Secondary structure of backbones by P-SEA, which looks at CA alone.

Source:
    Labesse et al. 1997, "P-SEA: a new efficient assignment of secondary structure from C alpha trace of proteins", as
    biotite has it.
"""

from __future__ import annotations

import numpy as np
from biotite.structure import AtomArray, annotate_sse

from models.data.peptides import SECONDARY

_CODES = {"a": "H", "b": "E"}
# biotite lays a grid of such cells over the whole box, and lists all pairs of residues that are near
_CELL_ANG, _MOST_CELLS, _MOST_RESIDUES = 5.2, 4_000_000, 4_000


def annotate_secondary(alpha: np.ndarray) -> np.ndarray:
    """Helix, strand or the rest, for each residue of an unbroken chain.

    Up to five residues are coil.  A chain of more than 4,000 residues, or whose box has more than 825 Å a side, is
    annotated in halves.

    Args:
        alpha: CA, Å, all finite.  [L, 3]

    Returns:
        Place in `SECONDARY`.  [L] uint8
    """
    coil = np.full(len(alpha), SECONDARY.index("C"), np.uint8)
    if len(alpha) <= 5:
        return coil
    cells = np.prod(np.ptp(alpha.astype(np.float64), axis=0) // _CELL_ANG + 1)
    if len(alpha) > _MOST_RESIDUES or cells > _MOST_CELLS:
        half = len(alpha) // 2
        return np.concatenate((annotate_secondary(alpha[:half]), annotate_secondary(alpha[half:])))
    atoms = AtomArray(len(alpha))
    atoms.coord = alpha.astype(np.float32)
    atoms.res_id[:] = np.arange(len(alpha))
    atoms.res_name[:], atoms.atom_name[:] = "ALA", "CA"
    with np.errstate(all="ignore"):  # angles between points that coincide or lie on a line
        found = annotate_sse(atoms)
    for code, letter in _CODES.items():
        coil[found == code] = SECONDARY.index(letter)
    return coil
