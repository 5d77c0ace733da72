"""Backbones that are measured together: samples, natural chains, and natural chains with noise.

Axes: S backbones of one length, L residues, points N, CA, C, O.  Coordinates in angstrom.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np

from models.data.backbones import BackboneSet
from models.errors import DataError

EDGES = (40, 56, 72, 90, 112, 144, 180, 224, 257)  # first length of each bin, and the end; 64 and 100 are in the middle
T = TypeVar("T")
SHORTEST = 8  # residues; what is shorter has no fold to speak of


@dataclass(frozen=True)
class Group:
    """Backbones under one name.

    Attributes:
        name: As it stands in the report.
        chains: N, CA, C, O, Å.  [L, 4, 3] each
    """

    name: str
    chains: tuple[np.ndarray, ...]

    def __len__(self) -> int:
        return len(self.chains)

    @property
    def lengths(self) -> np.ndarray:
        """Residues of each.  [M]"""
        return np.array([len(chain) for chain in self.chains], np.int64)

    def between(self, low: int, high: int) -> Group:
        """Those with at least `low` and fewer than `high` residues."""
        return Group(self.name, tuple(chain for chain in self.chains if low <= len(chain) < high))

    def only(self, wanted: Sequence[bool]) -> Group:
        """Those that are wanted.  [M]"""
        return Group(self.name, tuple(chain for chain, good in zip(self.chains, wanted, strict=True) if good))

    def at_most(self, count: int) -> Group:
        """Evenly spaced ones, if there are more."""
        if len(self) <= count:
            return self
        return Group(self.name, tuple(self.chains[k] for k in np.arange(count) * len(self) // count))


def natives(name: str, chains: BackboneSet, wanted: np.ndarray) -> Group:
    """Natural chains of a set.  [M] bool"""
    return Group(name, tuple(chains.chain(int(number)).astype(np.float64) for number in np.flatnonzero(wanted)))


def with_noise(group: Group, noise_ang: float, seed: int) -> Group:
    """The same chains, each coordinate moved by Gaussian noise of `noise_ang`, Å: a control that should fail."""
    rng = np.random.default_rng(seed)
    moved = tuple(chain + rng.normal(0, noise_ang, chain.shape) for chain in group.chains)
    return Group(f"{group.name} + {noise_ang:g} Å noise", moved)


def per_length(group: Group, measure: Callable[[np.ndarray], Iterable[T]]) -> list[T]:
    """Call `measure` once for each length, and return what it says of each chain in the group's order.

    Args:
        group: M chains.
        measure: Takes [S, L, 4, 3], returns S values.
    """
    lengths = group.lengths
    found: dict[int, T] = {}
    for length in np.unique(lengths):
        places = np.flatnonzero(lengths == length)
        values = measure(np.stack([group.chains[k] for k in places]))
        for place, value in zip(places, values, strict=True):
            found[int(place)] = value
    return [found[k] for k in range(len(group))]


def filled_bins(group: Group, edges: Sequence[int]) -> list[tuple[int, int]]:
    """Bins of length that have members, each from its first length to below the next.

    Raises:
        DataError: The edges do not rise, or a chain is outside of all bins or too short.
    """
    if len(edges) < 2 or min(np.diff(edges)) <= 0 or edges[0] < SHORTEST:
        raise DataError(f"edges of length bins are {list(edges)}; give at least two rising ones from {SHORTEST} up")
    outside = sorted({int(n) for n in group.lengths if not edges[0] <= n < edges[-1]})
    if outside:
        raise DataError(
            f"{group.name} of {', '.join(map(str, outside[:5]))} residues are outside of the length bins "
            f"{edges[0]} to {edges[-1] - 1}; leave them out or give other --edges"
        )
    return [(low, high) for low, high in pairwise(edges) if any(low <= n < high for n in group.lengths)]
