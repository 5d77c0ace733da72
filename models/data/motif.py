"""Which part of a given structure is to be used: a chain, residues by their numbers in the file, and their places.

Axes: L residues, points N, CA, C, O.  Coordinates are in angstrom.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.data.structures import Chain, read_chains
from models.errors import StructureError

LIMIT_BYTES = 2 << 20  # of a structure that is sent: some thousand residues
_RANGE = re.compile(r"(-?\d{1,9}[A-Za-z]?)(?:-(-?\d{1,9}[A-Za-z]?))?")


@dataclass(frozen=True)
class Template:
    """An unbroken stretch of one chain, or residues that were put at places of their own.

    Attributes:
        chain: Name of the chain in the file; of several, with commas between.
        first: Number of the first residue there.
        last: Of the last one.
        coordinates: N, CA, C, O, Å.  [L, 4, 3] float32
        fixed: True for residues that were named; None if none were.  [L] bool
        free: Whether samples may be longer: residues were put at places of their own, and only the fixed ones count.
    """

    chain: str
    first: str
    last: str
    coordinates: np.ndarray
    fixed: np.ndarray | None
    free: bool = False

    def __len__(self) -> int:
        return len(self.coordinates)

    def to_values(self) -> dict[str, Any]:
        """What was taken, plain JSON values."""
        fixed = 0 if self.fixed is None else int(self.fixed.sum())
        return {
            "chain": self.chain,
            "first": self.first,
            "last": self.last,
            "residues": fixed if self.free else len(self),
            "fixed": fixed,
            "places": self.places,
        }

    def widened(self, length: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Coordinates and fixed residues in a chain of that length.  [L, 4, 3], [L] bool"""
        more = length - len(self) if self.free else 0
        fixed = None if self.fixed is None else np.pad(self.fixed, (0, more))
        return np.pad(self.coordinates, ((0, more), (0, 0), (0, 0))), fixed

    @property
    def laid_onto(self) -> np.ndarray:
        """What samples are laid onto: the fixed residues, or else all.  [K, 4, 3]"""
        return self.coordinates if self.fixed is None else self.coordinates[self.fixed]

    @property
    def stretch(self) -> str:
        """What was taken, in words."""
        where = f"{self.first} to {self.last}, {len(self)} residues"
        return f"the longest unbroken stretch of chain {self.chain} is {where}"

    @property
    def places(self) -> list[str]:
        """Where the fixed residues are in the stretch, counted from 1, such as `9-19`."""
        if self.fixed is None:
            return []
        edges = np.flatnonzero(np.diff(np.concatenate(([0], self.fixed.astype(np.int8), [0]))))
        ends = [(first + 1, last) for first, last in edges.reshape(-1, 2).tolist()]
        return [str(first) if first == last else f"{first}-{last}" for first, last in ends]


def read_template(
    source: str | bytes | Path, chain: str | None = None, ranges: Sequence[str] = (), limit_bytes: int = LIMIT_BYTES
) -> Template:
    """The longest unbroken stretch of a chain, and which of its residues are to be held fixed.

    Args:
        source: As of `models.data.structures.read_chains`.
        chain: Name of the chain; may be left out where there is only one.
        ranges: Residues by the numbers of the file, after the name of the chain: `A10-20`, `A:10-20` or `A52B`.
        limit_bytes: Most bytes, after decompression.

    Raises:
        StructureError: As of `read_chains`; or there is no such chain, none was named where there are several, or a
            range is not in the stretch.
    """
    chains = read_chains(source, limit_bytes)
    names = list(dict.fromkeys(part.id for part in chains))
    known = ", ".join(name or "(no name)" for name in names[:20])
    if chain is None and len(names) > 1:
        raise StructureError(f"the structure has the chains {known}; name one of them", reason="invalid_chain")
    if chain is not None and chain not in names:
        raise StructureError(f"the structure has no chain {chain!r:.20}; it has {known}", reason="invalid_chain")
    stretch = max((part for part in chains if chain is None or part.id == chain), key=len)
    fixed = None
    if ranges:
        fixed = np.zeros(len(stretch), bool)
        for text in ranges:
            fixed[_find(stretch, text)] = True
    return Template(stretch.id, stretch.numbers[0], stretch.numbers[-1], stretch.coordinates, fixed)


def place_motif(
    source: str | bytes | Path, ranges: Sequence[str], at: Sequence[int], limit_bytes: int = LIMIT_BYTES
) -> Template:
    """Residues of any chains, to be held fixed at places of their own in chains of another length.

    Args:
        source: As of `models.data.structures.read_chains`.
        ranges: As of `read_template`, each within an unbroken stretch of its chain.
        at: Number that the first residue of each range has in the samples, from 1.
        limit_bytes: Most bytes, after decompression.

    Returns:
        Its residues end with the last fixed one; samples may go on after it.

    Raises:
        StructureError: As of `read_chains`; a range is not in the structure; or places overlap, leave no residue
            between, or are not one for each range.
    """
    if len(at) != len(ranges):
        words = f"{len(at)} places for {len(ranges)} ranges of fixed residues; give one for each"
        raise StructureError(words, reason="invalid_range")
    chains = read_chains(source, limit_bytes)
    parts = sorted(((begin, text, *_cut(chains, text)) for begin, text in zip(at, ranges, strict=True)), key=_begin)
    end = -1
    for begin, text, _, span in parts:
        if begin < 1 or begin <= end + 1:
            words = (
                "places count from 1" if begin < 1 else f"one residue must stay free before it, so {end + 2} or later"
            )
            raise StructureError(f"{text!r:.40} cannot be put at {begin}: {words}", reason="invalid_range")
        end = begin + span.stop - span.start - 1
    coordinates, fixed = np.zeros((end, 4, 3), np.float32), np.zeros(end, bool)
    for begin, _, stretch, span in parts:
        place = slice(begin - 1, begin - 1 + span.stop - span.start)
        coordinates[place], fixed[place] = stretch.coordinates[span], True
    (_, _, head, from_), (_, _, tail, to) = parts[0], parts[-1]
    names = ",".join(dict.fromkeys(stretch.id for _, _, stretch, _ in parts))
    return Template(names, head.numbers[from_.start], tail.numbers[to.stop - 1], coordinates, fixed, free=True)


def _begin(part: tuple[int, str, Chain, slice]) -> int:
    return part[0]


def _cut(chains: Sequence[Chain], text: str) -> tuple[Chain, slice]:
    """The stretch that has a range of residues, and where."""
    named = [chain for chain in chains if _ends(chain.id, text) is not None]
    if not named:
        known = ", ".join(list(dict.fromkeys(chain.id or "(no name)" for chain in chains))[:20])
        words = f"{text!r:.40} is no range of residues of a chain of the structure ({known}); write A10-20 or A10"
        raise StructureError(words, reason="invalid_range")
    if len({chain.id for chain in named}) > 1:
        words = f"{text!r:.40} could be of chain {' or '.join(sorted({chain.id for chain in named}))}"
        raise StructureError(f"{words}; write a colon after the name, such as A:10-20", reason="invalid_range")
    for chain in named:
        if set(_ends(chain.id, text) or ()) <= set(chain.numbers):
            return chain, _find(chain, text)
    words = f"{text!r:.40}: chain {named[0].id} has no unbroken stretch with these residues"
    raise StructureError(words, reason="invalid_range")


def _ends(name: str, text: str) -> list[str] | None:
    """First and last number, or the only one, of a range of residues of the chain of that name."""
    head = re.match(re.escape(name) + ":?", text)
    found = _RANGE.fullmatch(text[head.end() :]) if head else None
    return None if found is None else [number for number in found.groups() if number is not None]


def _find(stretch: Chain, text: str) -> slice:
    """Places of a range of residues."""
    ends = _ends(stretch.id, text)
    if ends is None:
        raise StructureError(
            f"{text!r:.40} is no range of residues of chain {stretch.id}; write {stretch.id}10-20 or {stretch.id}10",
            reason="invalid_range",
        )
    for number in ends:
        if number not in stretch.numbers:
            raise StructureError(
                f"{text!r:.40}: chain {stretch.id} has no residue {number} in its longest unbroken stretch, which is "
                f"{stretch.numbers[0]} to {stretch.numbers[-1]} ({len(stretch)} residues)",
                reason="invalid_range",
            )
    first, last = stretch.numbers.index(ends[0]), stretch.numbers.index(ends[-1])
    if last < first:
        raise StructureError(f"{text!r:.40} ends before it begins; write the lower end first", reason="invalid_range")
    return slice(first, last + 1)
