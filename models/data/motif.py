"""Which part of a given structure is to be used: one chain, and residues of it by their numbers in the file.

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
    """An unbroken stretch of one chain.

    Attributes:
        chain: Name of the chain in the file.
        first: Number of the first residue there.
        last: Of the last one.
        coordinates: N, CA, C, O, Å.  [L, 4, 3] float32
        fixed: True for residues that were named; None if none were.  [L] bool
    """

    chain: str
    first: str
    last: str
    coordinates: np.ndarray
    fixed: np.ndarray | None

    def __len__(self) -> int:
        return len(self.coordinates)

    def to_values(self) -> dict[str, Any]:
        """What was taken, plain JSON values."""
        fixed = 0 if self.fixed is None else int(self.fixed.sum())
        return {
            "chain": self.chain,
            "first": self.first,
            "last": self.last,
            "residues": len(self),
            "fixed": fixed,
            "places": self.places,
        }

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


def _find(stretch: Chain, text: str) -> slice:
    """Places of a range of residues."""
    head = re.match(re.escape(stretch.id) + ":?", text)
    found = _RANGE.fullmatch(text[head.end() :]) if head else None
    if found is None:
        raise StructureError(
            f"{text!r:.40} is no range of residues of chain {stretch.id}; write {stretch.id}10-20 or {stretch.id}10",
            reason="invalid_range",
        )
    ends = [number for number in found.groups() if number is not None]
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
