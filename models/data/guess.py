"""Rough structures to start from, by RDKit's distance geometry."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import default_rng
from rdkit import Chem, rdBase
from rdkit.Chem import rdDistGeom

from models.data import mmff
from models.structure import Molecule

EMBED_TIMEOUT_S = 10  # of one guess; RDKit takes whole seconds
_TRY_STRIDE = 2**58  # between the tries for one guess; seeds of conformers and their retries stay far below


@dataclass(frozen=True)
class Recipe:
    """How a guess is made.

    Attributes:
        relax: Relax it with MMFF94s, where that knows the molecule.
        tries: Make so many and take the lowest in MMFF94s energy.  Above 1 it needs `relax`, since unrelaxed energies
            tell little.
    """

    relax: bool = False
    tries: int = 1


RAW = Recipe()

# Takes molecules, the seeds of each, a function to call while it works, which raises when the work is to end, and how
# to make a guess.  Gives one guess for each seed, Å [N, 3], or None where there is none.
Guesser = Callable[
    [Sequence[Molecule], Sequence[Sequence[int]], Callable[[], None], Recipe], list[list[np.ndarray | None]]
]


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


def make_guesses(molecule: Molecule, seeds: Sequence[int], recipe: Recipe) -> list[np.ndarray | None]:
    """Guesses by a recipe, each of its own seed alone; without parameters of MMFF94s the first try counts, as embedded.

    Returns:
        Å [N, 3], or None where RDKit found none in time.
    """
    if not recipe.relax or not mmff.has_parameters(molecule.mol):
        return embed_guesses(molecule, seeds)
    tried = embed_guesses(molecule, [seed + k * _TRY_STRIDE for seed in seeds for k in range(recipe.tries)])
    found = {place: guess for place, guess in enumerate(tried) if guess is not None}
    best: list[np.ndarray | None] = [None] * len(seeds)
    if found:
        relaxed = mmff.relax(molecule.mol, np.stack(list(found.values())))
        places = np.array(list(found)) // recipe.tries
        for at in np.argsort(relaxed.energies)[::-1]:  # the lowest comes last, and stays
            best[places[at]] = relaxed.coordinates[at]
    return best


def guess_all(
    molecules: Sequence[Molecule],
    seeds: Sequence[Sequence[int]],
    check_stop: Callable[[], None] = lambda: None,
    recipe: Recipe = RAW,
) -> list[list[np.ndarray | None]]:
    """The guesser of this process: one guess after another, with `check_stop` called before each."""
    guesses: list[list[np.ndarray | None]] = [[] for _ in molecules]
    for molecule, own, found in zip(molecules, seeds, guesses, strict=True):
        for seed in own:
            check_stop()
            found += make_guesses(molecule, [seed], recipe)
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
