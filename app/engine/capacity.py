"""How long a step takes and how many rows fit: a model of time and memory, measured once at the start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import median
from time import perf_counter

import numpy as np
import torch

from models.books import open_book
from models.draws import Path
from models.options import SampleOptions
from models.paths import Origin, start_paths
from models.pipeline import PAIR_BUDGET
from models.structure import Subject
from models.weights import Model

FULL = 8  # a full step takes so many times its fixed cost; more rows would gain little and make everybody wait
BRIEF = 20  # a ticket is brief when full steps, so many at most, would do it
_POINTS = ((1, 16), (32, 16), (1, 64), (8, 64))  # rows and padded tokens of the steps that are timed
_REPEATS = 3
_CHECKED = 8  # structures whose check is timed
_MEMORY_SHARE = 0.6  # of what is free on the device; the rest is for kernels' own needs and fragments


@dataclass(frozen=True)
class Capacity:
    """Cost of a step: overhead + token * rows * size + pair * rows * size^2; and of checking what was made.

    Attributes:
        overhead_s: Of any step, s.
        token_s: Of each padded token, s.
        pair_s: Of each padded pair of tokens, s.
        max_pairs: Padded pairs that fit into memory.
        check_s: Of bringing to ideal values and checking, beside the device, each padded token, s.
    """

    overhead_s: float
    token_s: float
    pair_s: float
    max_pairs: int
    check_s: float = 0.0

    def row_s(self, size: int) -> float:
        """What one more row adds to a step, s."""
        return self.token_s * size + self.pair_s * size**2

    def step_s(self, rows: int, size: int) -> float:
        """One step, s."""
        return self.overhead_s + rows * self.row_s(size)

    def rows(self, size: int) -> int:
        """Most rows of one batch."""
        in_time = (FULL - 1) * self.overhead_s / max(self.row_s(size), 1e-12)
        return max(1, int(min(in_time, self.max_pairs // size**2)))

    def draw_s(self, size: int, options: SampleOptions) -> float:
        """Time of one draw among many, s: on the device, and of its check."""
        return options.calls * (self.row_s(size) + self.overhead_s / self.rows(size)) + self.check_s * size

    @property
    def brief_s(self) -> float:
        """Device time up to which a ticket is brief, s."""
        return BRIEF * FULL * self.overhead_s

    def halved(self, rows: int, size: int) -> Capacity:
        """After a batch that did not fit into memory."""
        return replace(self, max_pairs=min(self.max_pairs, rows * size**2 // 2))


@dataclass(frozen=True)
class Served:
    """A model that is served, and its cost."""

    model: Model
    capacity: Capacity


def calibrate(model: Model, molecule: Subject, clock: Callable[[], float] = perf_counter) -> Capacity:
    """Time a few steps of padded copies of a subject, and on a GPU measure their memory.

    Args:
        model: The trained model.
        molecule: Of at most 16 tokens.
        clock: Monotonic seconds.
    """
    rows, size = (np.array(column, dtype=float) for column in zip(*_POINTS, strict=True))
    seconds = np.array([_time(model, molecule, *point, clock) for point in _POINTS])
    design = np.stack((np.ones_like(rows), rows * size, rows * size**2), axis=1)
    overhead, token, pair = _fit(design / seconds[:, None])
    check = _time_check(model, molecule, clock)
    return Capacity(max(overhead, 1e-6), token, pair, _max_pairs(model, molecule), check)


def _fit(design: np.ndarray) -> list[float]:
    """Costs that explain all times best in relative terms, none below 0: least squares over every choice of terms."""
    best, least = np.zeros(design.shape[1]), np.inf
    for count in range(1, design.shape[1] + 1):
        for terms in combinations(range(design.shape[1]), count):
            part = design[:, terms]
            found = np.linalg.lstsq(part, np.ones(len(part)), rcond=None)[0]
            error = np.square(part @ found - 1).sum()
            if (found >= 0).all() and error < least:
                best, least = np.zeros(design.shape[1]), error
                best[list(terms)] = found
    return [float(cost) for cost in best]


def _time(model: Model, molecule: Subject, rows: int, size: int, clock: Callable[[], float]) -> float:
    """Median time of a step, s."""
    options = SampleOptions(steps=_REPEATS + 1)
    paths = start_paths(model, [Origin(molecule.features, seed, options) for seed in range(rows)], size)
    times = []
    for _ in range(options.steps):
        began = clock()
        paths.advance()
        paths.wait()
        times.append(clock() - began)
    return max(median(times[1:]), 1e-9)  # the first sets up kernels


def _time_check(model: Model, molecule: Subject, clock: Callable[[], float]) -> float:
    """Time of polishing and checking each token of a few structures at once, s."""
    origins = [Origin(molecule.features, seed, SampleOptions(steps=1)) for seed in range(_CHECKED)]
    made = start_paths(model, origins)
    made.advance()
    structures = [Path(x, True) for x in made.structures(range(_CHECKED))]
    book = open_book(molecule, _CHECKED, 0, 1)
    times = []
    for _ in range(_REPEATS):
        began = clock()
        book.check(book.polish(structures))
        times.append(clock() - began)
    return median(times) / (_CHECKED * molecule.features.num_tokens)


def _max_pairs(model: Model, molecule: Subject) -> int:
    """Padded pairs that fit; on the CPU those of the library, on a GPU by the memory of a small batch of small size."""
    if model.device.type != "cuda":
        return PAIR_BUDGET
    rows, size = _POINTS[1]
    torch.cuda.reset_peak_memory_stats(model.device)
    before = torch.cuda.memory_allocated(model.device)
    _time(model, molecule, rows, size, perf_counter)
    used = torch.cuda.max_memory_allocated(model.device) - before
    free = torch.cuda.mem_get_info(model.device)[0]
    return int(_MEMORY_SHARE * free / max(used, 1) * rows * size**2)
