"""Energies and energy minima of the force field MMFF94s, by RDKit.

Axes: S conformers, N atoms.  Coordinates are in Å, energies in kcal/mol.  MMFF94s is MMFF94 with planar amide and
aniline nitrogens (Halgren 1999, MMFF VI).
"""

from dataclasses import dataclass

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdForceFieldHelpers

VARIANT = "MMFF94s"
MAX_ITERATIONS = 500


@dataclass(frozen=True)
class Relaxed:
    """Conformers after minimisation.

    Attributes:
        coordinates: Å.  [S, N, 3] float64
        energies: kcal/mol.  [S]
        moving: True where the minimum was not reached within the iterations.  [S]
    """

    coordinates: np.ndarray
    energies: np.ndarray
    moving: np.ndarray


def has_parameters(mol: Chem.Mol) -> bool:
    """Whether the force field knows every atom of the molecule, hydrogens included; boron and selenium it does not."""
    with rdBase.BlockLogs():
        return bool(rdForceFieldHelpers.MMFFHasAllMoleculeParams(mol))


def relax(mol: Chem.Mol, coordinates: np.ndarray, max_iterations: int = MAX_ITERATIONS) -> Relaxed:
    """Minimise the energy of each conformer; it never rises, but for rounding in a minimum.

    Args:
        mol: Molecule with explicit hydrogens that `has_parameters`.
        coordinates: Where to start, Å.  [S, N, 3]
        max_iterations: Steps of BFGS at most; 0 moves nothing.

    Returns:
        Coordinates, energies, and which had not arrived.
    """
    if not len(coordinates):
        return Relaxed(np.asarray(coordinates, dtype=np.float64), np.zeros(0), np.zeros(0, dtype=bool))
    copy = Chem.Mol(mol, True)
    for x in coordinates:
        conformer = Chem.Conformer(mol.GetNumAtoms())
        conformer.SetPositions(np.ascontiguousarray(x, dtype=np.float64))
        copy.AddConformer(conformer, assignId=True)
    with rdBase.BlockLogs():
        results = rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(
            copy, numThreads=1, maxIters=max_iterations, mmffVariant=VARIANT
        )
    relaxed = np.array([conformer.GetPositions() for conformer in copy.GetConformers()])
    codes, energies = np.array(results, dtype=np.float64).T
    return Relaxed(relaxed, energies, codes == 1)


def energies(mol: Chem.Mol, coordinates: np.ndarray) -> np.ndarray:
    """Energy of each conformer as it is.  [S, N, 3] -> [S]"""
    return relax(mol, coordinates, max_iterations=0).energies  # one force field for all, which is where the time goes
