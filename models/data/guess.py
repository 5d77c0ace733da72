"""Rough structures to start from, by RDKit's distance geometry."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.random import default_rng
from rdkit import Chem, rdBase
from rdkit.Chem import rdDistGeom

from models.data import mmff
from models.structure import Molecule

# Takes molecules, the seeds of each, and a function to call while it works, which raises when the work is to end.
# Gives one guess for each seed, Å [N, 3], or None where there is none.
Guesser = Callable[[Sequence[Molecule], Sequence[Sequence[int]], Callable[[], None]], list[list[np.ndarray | None]]]

EMBED_TIMEOUT_S = 10  # of one guess; RDKit takes whole seconds


def embed_guesses(molecule: Molecule, seeds: Sequence[int]) -> list[np.ndarray | None]:
    """ETKDGv3 guesses, each of its own seed alone.

    Args:
        molecule: What to embed.
        seeds: One for each guess, 64 bits.

    Returns:
        Coordinates in the molecule's atom order, Å [N, 3], or None where RDKit found none in time.
    """
    return embed(molecule.mol, seeds)


def embed(mol: Chem.Mol, seeds: Iterable[int]) -> list[np.ndarray | None]:
    """As `embed_guesses`, for a bare molecule with explicit hydrogens, which stays as it is."""
    copy = Chem.Mol(mol)
    parameters: Any = rdDistGeom.ETKDGv3()
    parameters.timeout = EMBED_TIMEOUT_S
    parameters.numThreads = 1
    return [_embed(copy, parameters, seed) for seed in seeds]


def embed_all(
    molecules: Sequence[Molecule], seeds: Sequence[Sequence[int]], check_stop: Callable[[], None] = lambda: None
) -> list[list[np.ndarray | None]]:
    """The guesser of this process: one guess after another, with `check_stop` called before each."""
    guesses: list[list[np.ndarray | None]] = [[] for _ in molecules]
    for molecule, own, found in zip(molecules, seeds, guesses, strict=True):
        for seed in own:
            check_stop()
            found += embed_guesses(molecule, [seed])
    return guesses


def relaxed_guesses(molecule: Molecule, seeds: Sequence[int]) -> list[np.ndarray | None]:
    """ETKDGv3 guesses relaxed with MMFF94s; as embedded where the force field lacks parameters for the molecule."""
    guesses = embed_guesses(molecule, seeds)
    found = {k: guess for k, guess in enumerate(guesses) if guess is not None}
    if found and mmff.has_parameters(molecule.mol):
        relaxed = mmff.relax(molecule.mol, np.stack(list(found.values()))).coordinates
        for k, x in zip(found, relaxed, strict=True):
            guesses[k] = x
    return guesses


def _embed(mol: Chem.Mol, parameters: Any, seed: int) -> np.ndarray | None:
    parameters.randomSeed = int(default_rng(seed % 2**63).integers(1, 2**31 - 1))  # RDKit's seeds have 31 bits
    with rdBase.BlockLogs():
        try:
            if rdDistGeom.EmbedMolecule(mol, parameters) < 0:
                return None
        except (RuntimeError, ValueError):  # broken invariants of RDKit
            return None
    return mol.GetConformer().GetPositions()
