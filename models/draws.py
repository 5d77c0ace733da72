"""The draws of one ensemble: which are to be made, which were good, and when to give up."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from models.structure import Subject

MAX_SEED = 2**53 - 1  # every seed survives JSON readers that keep numbers as doubles
RETRY_STRIDE = 2**32
S = TypeVar("S", bound=Subject)
E = TypeVar("E")
HOPELESS_AFTER = 20  # draws of which none was good
DRAW_REASONS = {
    "out_of_memory": "the device has too little memory for one structure of this size; use a larger device",
    "sampler_lost": "the sampler broke down twice while it worked on this one; send it alone, or leave it out",
    "stopped": "the work was ended before this structure was finished; ask for less, or wait longer",
}


@dataclass(frozen=True)
class Draw:
    """One structure to be made: which subject, which place in its ensemble, which seed, which try from 0.

    `guess` says whether it may begin at one: a structure that was without a guess once is not given another try for it,
    since ETKDG would most likely spend seconds in vain again.
    """

    molecule: int
    index: int
    seed: int
    attempt: int
    guess: bool = True


@dataclass(frozen=True)
class Path:
    """A raw structure, Å [N, 3] at its true size, and whether it began where the options say."""

    x: np.ndarray
    as_asked: bool


@dataclass(frozen=True)
class Made:
    """A structure that passed, and the draw that made it."""

    draw: Draw
    path: Path


class Draws(ABC, Generic[S, E]):
    """All draws of one subject, from the first to the last verdict.

    Structure k of seed s is structure 0 of seed s + k; one that fails is drawn again with a seed from a later stride.
    A subject is given up when all draws of all rounds so far have failed and are at least `HOPELESS_AFTER`.  Which
    draws are made does not depend on the order in which they come back.

    Args:
        subject: What to sample.
        count: Structures.
        seed: Seed of the first.
        rounds: How often at most each structure is drawn.
        place: Number of the subject, written into its draws.
    """

    def __init__(self, subject: S, count: int, seed: int, rounds: int, place: int = 0) -> None:
        self.subject, self.count, self.place = subject, count, place
        self.attempts, self.first_pass = 0, 0
        self._guessless = set[int]()  # structures that once had no guess
        self._seed, self._rounds = seed, rounds
        self._fresh = 0  # structures from here on were never drawn
        self._out: dict[Draw, None] = {}  # being made
        self._again: deque[tuple[int, int]] = deque()  # place and try of those to be drawn once more
        self._held: list[tuple[int, int]] = []  # likewise, unless the subject is given up
        self._failed: Counter[int] = Counter()  # by round
        self._good: dict[int, Made] = {}
        self._last: dict[int, str] = {}  # newest fault of each structure
        self._lost: dict[int, str] = {}  # why a structure will not come

    @property
    def due(self) -> int:
        """How many draws could be made now."""
        return len(self._again) + self.count - self._fresh

    @property
    def open(self) -> int:
        """Structures without a verdict."""
        return self.count - len(self._good) - len(self._lost)

    def take(self, most: int) -> list[Draw]:
        """Draws to make now, at most so many; each comes back by `settle`, unless it is recalled."""
        places = [self._again.popleft() for _ in range(min(most, len(self._again)))]
        fresh = min(most - len(places), self.count - self._fresh)
        places += [(k, 0) for k in range(self._fresh, self._fresh + fresh)]
        self._fresh += fresh
        draws = [
            Draw(self.place, k, self._seed_of(k, attempt), attempt, k not in self._guessless) for k, attempt in places
        ]
        self._out |= dict.fromkeys(draws)
        return draws

    def recall(self) -> None:
        """Draws that were taken and did not come back are lost; they are due again."""
        self._again.extendleft((draw.index, draw.attempt) for draw in reversed(self._out))
        self._out.clear()

    @property
    def num_good(self) -> int:
        """Structures that have passed."""
        return len(self._good)

    @abstractmethod
    def check(self, paths: Sequence[Path]) -> list[str | None]:
        """First fault of each structure, or None for a good one; changes nothing, so any thread may ask."""

    @abstractmethod
    def ensemble(self) -> E:
        """What there is by now; structures without a verdict are reported as `stopped`."""

    def polish(self, paths: Sequence[Path]) -> Sequence[Path]:
        """What is done to raw structures before they are checked; any thread may ask."""
        return paths

    def settle(self, draws: Sequence[Draw], paths: Sequence[Path], faults: Sequence[str | None]) -> int:
        """Take back draws that were made and checked.

        Returns:
            How many structures got their verdict by this.
        """
        before = self.open
        for draw, path, fault in zip(draws, paths, faults, strict=True):
            if not self.open:
                break  # abandoned meanwhile
            del self._out[draw]
            self.attempts += 1
            if not path.as_asked:
                self._guessless.add(draw.index)
            if fault is not None:
                self._fail(draw, fault)
            else:
                self._good[draw.index] = Made(draw, path)
                self.first_pass += draw.attempt == 0
                self._again += self._held  # there is hope
                self._held = []
        return before - self.open

    def abandon(self, reason: str) -> int:
        """Make no more draws; what has no verdict is lost for this reason.

        Returns:
            How many structures that are.
        """
        missing = [k for k in range(self.count) if k not in self._good and k not in self._lost]
        self._lost |= dict.fromkeys(missing, reason)
        self._again.clear()
        self._out.clear()
        self._held, self._fresh = [], self.count
        return len(missing)

    @property
    def good(self) -> list[Made]:
        """Those that passed, in their order."""
        return [self._good[k] for k in sorted(self._good)]

    @property
    def missing(self) -> list[str]:
        """Why the others are missing, one word for each."""
        return [self._lost.get(k, "stopped") for k in range(self.count) if k not in self._good]

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


def spread_seeds(subjects: Sequence[Hashable], seed: int, count: int) -> list[int]:
    """First seed of each subject; one that is there again goes on where it left off, or it would be the same again."""
    before: Counter[Hashable] = Counter()
    seeds = []
    for subject in subjects:
        seeds.append((seed + before[subject] * count) % (MAX_SEED + 1))
        before[subject] += 1
    return seeds


def rows_of(draws: Sequence[Draw]) -> dict[int, list[int]]:
    """Which rows belong to each subject."""
    rows: dict[int, list[int]] = {}
    for row, draw in enumerate(draws):
        rows.setdefault(draw.molecule, []).append(row)
    return rows
