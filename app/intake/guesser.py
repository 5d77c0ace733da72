"""Guesses for the sampler, made in the child processes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait

import numpy as np

from app.intake.embedding import Embedding
from app.intake.pool import ChildPool
from models.data.guess import RAW, SEEDS_AT_ONCE, Recipe
from models.structure import Molecule

_ATOMS_AT_ONCE = 320  # in one job: about 0.1 s of work, so that readings of other requests get their turn in between
_LOOK_EVERY_S = 0.05


class PoolGuesser:
    """A `Guesser` for one call of the sampler: jobs for several molecules and seeds run at once over the children.

    A molecule that costs a child gets no more guesses in this call, so it can take only little time from the others.

    Args:
        pool: The children.
        urgent: Whether its jobs begin before those that nobody waits for at the screen.
    """

    def __init__(self, pool: ChildPool, urgent: bool = True) -> None:
        self._pool, self._urgent = pool, urgent
        self._lost: set[int] = set()  # by identity: the caller holds the molecules while it samples them

    def __call__(
        self,
        molecules: Sequence[Molecule],
        seeds: Sequence[Sequence[int]],
        check_stop: Callable[[], None],
        recipe: Recipe = RAW,
    ) -> list[list[np.ndarray | None]]:
        """Guesses of each seed of each molecule, Å [N, 3], or None where there is none."""
        guesses: list[list[np.ndarray | None]] = [[None] * len(own) for own in seeds]
        share = -(-sum(map(len, seeds)) // len(self._pool))  # of each child
        left = deque(
            (k, part)
            for k, own in enumerate(seeds)
            for part in _parts(len(own), min(share, _most(molecules[k], recipe)))
        )
        running: dict[Future[list[np.ndarray | None] | None], tuple[int, slice]] = {}
        try:
            while left or running:
                check_stop()
                while left and len(running) < len(self._pool):
                    k, part = left.popleft()
                    if id(molecules[k]) not in self._lost:
                        job = Embedding(molecules[k], tuple(seeds[k][part]), recipe)
                        running[self._pool.submit(job, self._urgent)] = k, part
                for future in wait(running, _LOOK_EVERY_S, FIRST_COMPLETED).done:
                    k, part = running.pop(future)
                    found = future.result()
                    if found is None:
                        self._lost.add(id(molecules[k]))
                    else:
                        guesses[k][part] = found
        finally:
            for future in running:
                future.cancel()
        return guesses


def _most(molecule: Molecule, recipe: Recipe) -> int:
    """How many seeds one job may have."""
    return max(1, min(SEEDS_AT_ONCE, _ATOMS_AT_ONCE // molecule.num_atoms) // recipe.tries)


def _parts(count: int, size: int) -> list[slice]:
    """Parts of `count` seeds for one job each."""
    return [slice(at, min(at + size, count)) for at in range(0, count, size)]
