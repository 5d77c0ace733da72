"""Rough structures to start from, by RDKit's distance geometry."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import default_rng
from rdkit import Chem, rdBase
from rdkit.Chem import rdDistGeom

from models.data import mmff
from models.structure import Molecule

EMBED_TIMEOUT_S = 600  # of one call of RDKit by the clock; attempts end long before, and the same on every machine
SEEDS_AT_ONCE = 8  # of one call, since its set-up costs as much as several guesses of a small molecule
_PAIRS = 50_000  # of atoms, in all attempts for one guess: an attempt takes time by the square of the size
_ATTEMPTS = 6, 160  # at least and at most; strained cages may need a hundred, large molecules three from random places
_FIRST_ATTEMPTS = 16  # when several are made at once, since all of them are begun again if one fails
_MAX_RINGS = 1000  # that are relaxed: RDKit compares them in pairs, for seconds
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
        Coordinates in the molecule's atom order, Å [N, 3], or None where RDKit found none in its attempts.
    """
    return embed(molecule.mol, seeds)


def embed(mol: Chem.Mol, seeds: Iterable[int]) -> list[np.ndarray | None]:
    """As `embed_guesses`, for a bare molecule with explicit hydrogens, which stays as it is.

    Which seeds have a guess depends on the numbers of attempts, and not on how fast the machine is.
    """
    copy = Chem.Mol(mol)
    guesses: list[np.ndarray | None] = []
    for run in _runs([_short(seed) for seed in seeds]):
        guesses += _embed_each(copy, run)
    return guesses


def make_guesses(molecule: Molecule, seeds: Sequence[int], recipe: Recipe) -> list[np.ndarray | None]:
    """Guesses by a recipe, each of its own seed alone; without parameters of MMFF94s the first try counts, as embedded.

    Returns:
        Å [N, 3], or None where RDKit found none in its attempts.
    """
    if not recipe.relax or not _can_be_relaxed(molecule.mol):
        return embed_guesses(molecule, seeds)
    tried = embed_guesses(molecule, [seed + k * _TRY_STRIDE for k in range(recipe.tries) for seed in seeds])
    found = {place: guess for place, guess in enumerate(tried) if guess is not None}
    best: list[np.ndarray | None] = [None] * len(seeds)
    if found:
        relaxed = mmff.relax(molecule.mol, np.stack(list(found.values())))
        places = np.array(list(found)) % len(seeds)
        for at in np.argsort(relaxed.energies)[::-1]:  # the lowest comes last, and stays
            best[places[at]] = relaxed.coordinates[at]
    return best


def guess_all(
    molecules: Sequence[Molecule],
    seeds: Sequence[Sequence[int]],
    check_stop: Callable[[], None] = lambda: None,
    recipe: Recipe = RAW,
) -> list[list[np.ndarray | None]]:
    """The guesser of this process: a few guesses after another, with `check_stop` called before each few."""
    few = -(-SEEDS_AT_ONCE // recipe.tries)
    guesses: list[list[np.ndarray | None]] = [[] for _ in molecules]
    for molecule, own, found in zip(molecules, seeds, guesses, strict=True):
        for at in range(0, len(own), few):
            check_stop()
            found += make_guesses(molecule, own[at : at + few], recipe)
    return guesses


def _short(seed: int) -> int:
    """RDKit's 31 bits for a seed.  Seeds that follow each other still do, but for one step in 65,536."""
    block, place = divmod(seed, 2**16)
    return int(default_rng(block % 2**63).integers(1, 2**31 - 2**17)) + place


def _runs(seeds: Sequence[int]) -> Iterator[range]:
    """The seeds, in runs of such as follow each other, none longer than one call takes."""
    at = 0
    for end in range(1, len(seeds) + 1):
        if end == len(seeds) or end - at == SEEDS_AT_ONCE or seeds[end] != seeds[end - 1] + 1:
            yield range(seeds[at], seeds[end - 1] + 1)
            at = end


def _can_be_relaxed(mol: Chem.Mol) -> bool:
    return mol.GetRingInfo().NumRings() <= _MAX_RINGS and mmff.has_parameters(mol)


def _attempts(mol: Chem.Mol) -> int:
    """For one guess from distances, and as many from random places."""
    least, most = _ATTEMPTS
    return max(least, min(most, _PAIRS // mol.GetNumAtoms() ** 2))


def _embed_each(mol: Chem.Mol, seeds: range) -> list[np.ndarray | None]:
    """The guesses of a run of seeds: at once, or else alone, or else from random places, which helps long chains."""
    attempts = _attempts(mol)
    if len(seeds) > 1:
        if found := _embed(mol, seeds, min(attempts, _FIRST_ATTEMPTS)):
            return [*found]
        return [x for seed in seeds for x in _embed_each(mol, range(seed, seed + 1))]
    return [*(_embed(mol, seeds, attempts) or _embed(mol, seeds, attempts, random_places=True))] or [None]


def _embed(mol: Chem.Mol, seeds: range, attempts: int, random_places: bool = False) -> list[np.ndarray]:
    """The guesses of a run of seeds; none at all if one fails, since RDKit does not say which."""
    parameters: Any = rdDistGeom.ETKDGv3()
    parameters.maxIterations = attempts
    parameters.timeout = EMBED_TIMEOUT_S
    parameters.numThreads = 1
    parameters.useRandomCoords = random_places
    parameters.randomSeed = seeds.start
    parameters.enableSequentialRandomSeeds = True  # the second guess is the first of the next seed, and so on
    with rdBase.BlockLogs():
        try:
            rdDistGeom.EmbedMultipleConfs(mol, len(seeds), parameters)
        except (RuntimeError, ValueError):  # broken invariants of RDKit
            return []
    guesses = [conformer.GetPositions() for conformer in mol.GetConformers()]
    return guesses if len(guesses) == len(seeds) else []
