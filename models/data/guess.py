"""Rough structures to start from, by RDKit's distance geometry."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.random import default_rng
from rdkit import Chem, rdBase
from rdkit.Chem import rdDistGeom

from models.structure import Molecule

# Makes one guess for each seed, Å [N, 3], or None where there is none.
Guesser = Callable[[Molecule, Sequence[int]], list[np.ndarray | None]]

EMBED_TIMEOUT_S = 10  # of one guess; RDKit takes whole seconds


def embed_guesses(molecule: Molecule, seeds: Sequence[int]) -> list[np.ndarray | None]:
    """ETKDGv3 guesses, each of its own seed alone.

    Args:
        molecule: What to embed.
        seeds: One for each guess, 64 bits.

    Returns:
        Coordinates in the molecule's atom order, Å [N, 3], or None where RDKit found none in time.
    """
    mol = Chem.Mol(molecule.mol)
    parameters: Any = rdDistGeom.ETKDGv3()
    parameters.timeout = EMBED_TIMEOUT_S
    parameters.numThreads = 1
    return [_embed(mol, parameters, seed) for seed in seeds]


def _embed(mol: Chem.Mol, parameters: Any, seed: int) -> np.ndarray | None:
    parameters.randomSeed = int(default_rng(seed % 2**63).integers(1, 2**31 - 1))  # RDKit's seeds have 31 bits
    with rdBase.BlockLogs():
        try:
            if rdDistGeom.EmbedMolecule(mol, parameters) < 0:
                return None
        except (RuntimeError, ValueError):  # broken invariants of RDKit
            return None
    return mol.GetConformer().GetPositions()
