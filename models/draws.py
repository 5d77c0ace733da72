"""The draws of one ensemble: which are to be made, which were good, and when to give up."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from models.data.verify import REASONS, GeometryLimits, find_faults, geometry_limits
from models.structure import Conformer, Ensemble, Molecule, Problem

MAX_SEED = 2**53 - 1  # every seed survives JSON readers that keep numbers as doubles
RETRY_STRIDE = 2**32
HOPELESS_AFTER = 20  # draws of which none was good
ALL_REASONS = REASONS | {
    "out_of_memory": "the device has too little memory for one conformer of this molecule; use a larger device",
    "sampler_lost": "the sampler broke down twice while it worked on this molecule; send it alone, or leave it out",
    "stopped": "the work was ended before this conformer was finished; ask for less, or wait longer",
}


@dataclass(frozen=True)
class Draw:
    """One structure to be made: which molecule, which place in its ensemble, which seed, which try from 0."""

    molecule: int
    index: int
    seed: int
    attempt: int


@dataclass(frozen=True)
class Path:
    """A raw structure, Å [N, 3] at its true size, and whether it began where the options say."""

    x: np.ndarray
    as_asked: bool


class Draws:
    """All draws of one molecule, from the first to the last verdict.

    Conformer k of seed s is conformer 0 of seed s + k; one that fails is drawn again with a seed from a later stride.
    A molecule is given up when all draws of all rounds so far have failed and are at least `HOPELESS_AFTER`.  Which
    draws are made does not depend on the order in which they come back.

    Args:
        molecule: What to sample.
        count: Conformers.
        seed: Seed of the first.
        rounds: How often at most each conformer is drawn.
        place: Number of the molecule, written into its draws.
    """

    def __init__(self, molecule: Molecule, count: int, seed: int, rounds: int, place: int = 0) -> None:
        self.molecule, self.count, self.place = molecule, count, place
        self.attempts, self.first_pass = 0, 0
        self._unguided = 0  # good ones that had no guess to start from
        self._seed, self._rounds = seed, rounds
        self._fresh = 0  # conformers from here on were never drawn
        self._out: dict[Draw, None] = {}  # being made
        self._again: deque[tuple[int, int]] = deque()  # place and try of those to be drawn once more
        self._held: list[tuple[int, int]] = []  # likewise, unless the molecule is given up
        self._failed: Counter[int] = Counter()  # by round
        self._good: dict[int, Conformer] = {}
        self._last: dict[int, str] = {}  # newest fault of each conformer
        self._lost: dict[int, str] = {}  # why a conformer will not come

    @property
    def due(self) -> int:
        """How many draws could be made now."""
        return len(self._again) + self.count - self._fresh

    @property
    def open(self) -> int:
        """Conformers without a verdict."""
        return self.count - len(self._good) - len(self._lost)

    def take(self, most: int) -> list[Draw]:
        """Draws to make now, at most so many; each comes back by `settle`, unless it is recalled."""
        places = [self._again.popleft() for _ in range(min(most, len(self._again)))]
        fresh = min(most - len(places), self.count - self._fresh)
        places += [(k, 0) for k in range(self._fresh, self._fresh + fresh)]
        self._fresh += fresh
        draws = [Draw(self.place, k, self._seed_of(k, attempt), attempt) for k, attempt in places]
        self._out |= dict.fromkeys(draws)
        return draws

    def recall(self) -> None:
        """Draws that were taken and did not come back are lost; they are due again."""
        self._again.extendleft((draw.index, draw.attempt) for draw in reversed(self._out))
        self._out.clear()

    def check(self, paths: Sequence[Path]) -> list[str | None]:
        """First fault of each structure, or None for a good one; changes nothing, so any thread may ask."""
        return find_faults(self.molecule, self._limits, np.stack([path.x for path in paths]))

    def settle(self, draws: Sequence[Draw], paths: Sequence[Path], faults: Sequence[str | None]) -> int:
        """Take back draws that were made and checked.

        Returns:
            How many conformers got their verdict by this.
        """
        before = self.open
        for draw, path, fault in zip(draws, paths, faults, strict=True):
            if not self.open:
                break  # abandoned meanwhile
            del self._out[draw]
            self.attempts += 1
            if fault is not None:
                self._fail(draw, fault)
            else:
                self._good[draw.index] = Conformer(draw.index, draw.seed, path.x)
                self._unguided += not path.as_asked
                self.first_pass += draw.attempt == 0
                self._again += self._held  # there is hope
                self._held = []
        return before - self.open

    def abandon(self, reason: str) -> int:
        """Make no more draws; what has no verdict is lost for this reason.

        Returns:
            How many conformers that are.
        """
        missing = [k for k in range(self.count) if k not in self._good and k not in self._lost]
        self._lost |= dict.fromkeys(missing, reason)
        self._again.clear()
        self._out.clear()
        self._held, self._fresh = [], self.count
        return len(missing)

    def ensemble(self) -> Ensemble:
        """What there is by now; conformers without a verdict are reported as `stopped`."""
        missing = [self._lost.get(k, "stopped") for k in range(self.count) if k not in self._good]
        problems = tuple(
            Problem(reason, detail, missing.count(reason))
            for reason, detail in ALL_REASONS.items()
            if reason in missing
        )
        good = tuple(self._good[k] for k in sorted(self._good))
        return Ensemble(self._noted(), self.count, good, problems, self.attempts, self.first_pass)

    def _noted(self) -> Molecule:
        """The molecule, with a note if conformers of it had no guess to start from."""
        if not self._unguided:
            return self.molecule
        words = f"conformers sampled from noise, since ETKDG could not embed the molecule in time: {self._unguided}"
        return replace(self.molecule, notes=(*self.molecule.notes, words))

    @cached_property
    def _limits(self) -> GeometryLimits:
        return geometry_limits(self.molecule)

    def _seed_of(self, index: int, attempt: int) -> int:
        return (self._seed + index + attempt * RETRY_STRIDE) % (MAX_SEED + 1)

    def _fail(self, draw: Draw, fault: str) -> None:
        self._last[draw.index] = fault
        self._failed[draw.attempt] += 1
        made = (draw.attempt + 1) * self.count  # by the end of this round, if all fail
        if draw.attempt + 1 == self._rounds:
            self._lost[draw.index] = fault
        elif self._good or made < HOPELESS_AFTER:
            self._again.append((draw.index, draw.attempt + 1))
        elif self._failed[draw.attempt] == self.count:
            self._held, self._lost = [], dict(self._last)
        else:
            self._held.append((draw.index, draw.attempt + 1))


def rows_of(draws: Sequence[Draw]) -> dict[int, list[int]]:
    """Which rows belong to each molecule."""
    rows: dict[int, list[int]] = {}
    for row, draw in enumerate(draws):
        rows.setdefault(draw.molecule, []).append(row)
    return rows
