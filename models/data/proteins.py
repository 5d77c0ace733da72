"""Chains of people's own structures to a set of backbones that a model can be trained on.

Axes: M chains, L residues of one chain, R residues of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.data.backbones import TEST, TRAIN, VALIDATION, BackboneSet
from models.data.peptides import SECONDARY
from models.data.structures import Chain, read_chains
from models.errors import DataError

SUFFIXES = (".pdb", ".ent", ".cif", ".mmcif", ".bcif")
_COMPACT, _LEAST_ORDERED = 1.25, 0.35  # as of the set that the shipped configurations were made for


@dataclass(frozen=True)
class SetOptions:
    """Which chains are taken, and how they are divided.

    Attributes:
        shortest: Fewest residues of a chain.
        longest: Most residues of a chain.
        validation: Share of the chains kept for validation.
        test: Share of the chains kept for tests.
        seed: Decides which clusters these are.
    """

    shortest: int = 40
    longest: int = 256
    validation: float = 0.05
    test: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        if not 5 <= self.shortest <= self.longest:
            raise DataError(f"chains of {self.shortest} to {self.longest} residues; allowed: from 5, ascending")
        if not (self.validation >= 0 and self.test >= 0 and self.validation + self.test < 1):
            raise DataError(
                f"shares of {self.validation} for validation and {self.test} for tests; "
                "both must be at least 0, and together less than 1"
            )


def list_structures(folder: Path) -> list[Path]:
    """Structure files in a folder and the folders in it, by name.

    Raises:
        DataError: The folder is missing, or has none.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}")
    found = sorted(path for path in folder.rglob("*") if is_structure(path) and path.is_file())
    if not found:
        raise DataError(f"{folder} has no structure files; their names end in {', '.join(SUFFIXES)}, also with .gz")
    return found


def is_structure(path: Path) -> bool:
    """Whether a file has the name of a structure."""
    return path.name.lower().removesuffix(".gz").endswith(SUFFIXES)


def read_members(path: Path, options: SetOptions) -> tuple[list[tuple[str, Chain]], dict[str, int]]:
    """Chains of one file that are neither too short nor too long.

    Raises:
        StructureError: The file cannot be read or has no protein.

    Returns:
        Key and chain of each; a stretch of a broken chain has its first and last residue in the key.
        How many were left out for which reason.
    """
    chains = read_chains(path)
    stem = path.name.lower().removesuffix(".gz")
    stem = path.name[: len(stem.rsplit(".", 1)[0])]
    broken = {chain.id for chain in chains if chain.part}
    members, counts = [], {"too_short": 0, "too_long": 0}
    for chain in chains:
        if len(chain) < options.shortest:
            counts["too_short"] += 1
        elif len(chain) > options.longest:
            counts["too_long"] += 1
        else:
            cut = f"_{chain.numbers[0]}-{chain.numbers[-1]}" if chain.id in broken else ""
            members.append((f"{stem}_{chain.id}{cut}", chain))
    return members, counts


def is_core(chain: Chain) -> bool:
    """Whether a chain is compact and at least 35 % helix and strand.

    Compact means a radius of gyration of the CA below 1.25 times 2.2 L^0.38 Å.  P-SEA finds a sixth less helix and
    strand than DSSP, so that fewer chains count than with DSSP's letters: 73 % of a large set instead of 84 %.
    """
    alpha = chain.coordinates[:, 1].astype(np.float64)
    rg = np.sqrt(np.square(alpha - alpha.mean(0)).sum(1).mean())
    ordered = (chain.secondary != SECONDARY.index("C")).mean()
    return bool(rg < _COMPACT * 2.2 * len(chain) ** 0.38 and ordered >= _LEAST_ORDERED)


def cluster_identical(sequences: Sequence[str]) -> np.ndarray:
    """Cluster of each sequence, where only equal ones share a cluster.  [M] int32"""
    return np.unique(np.array(sequences), return_inverse=True)[1].astype(np.int32)


def build_set(members: Sequence[tuple[str, Chain]], cluster: np.ndarray, options: SetOptions) -> BackboneSet:
    """One set of all chains; clusters are never divided between training, validation and tests.

    Args:
        members: Key and chain of each.
        cluster: Cluster of each.  [M]
        options: How they are divided.

    Returns:
        The set; the classes of folds are unknown.
    """
    chains = [chain for _, chain in members]
    sequence = "".join(chain.sequence for chain in chains)
    return BackboneSet(
        coordinates=np.concatenate([chain.coordinates for chain in chains]),
        offsets=np.cumsum([0, *(len(chain) for chain in chains)]),
        keys=np.array([key for key, _ in members]),
        sequence=np.frombuffer(sequence.encode(), np.uint8),
        secondary=np.concatenate([chain.secondary for chain in chains]),
        fold=np.zeros(len(chains), np.uint8),
        cluster=cluster,
        split=draw_split(cluster, options),
        core=np.array([is_core(chain) for chain in chains]),
    )


def draw_split(cluster: np.ndarray, options: SetOptions) -> np.ndarray:
    """Whole clusters in a drawn order, first for tests, then for validation, as long as their shares have room.

    Args:
        cluster: Cluster of each chain.  [M]
        options: Shares and seed.

    Returns:
        `TRAIN`, `VALIDATION` or `TEST`.  [M] uint8
    """
    _, member, sizes = np.unique(cluster, return_inverse=True, return_counts=True)
    split = np.full(len(sizes), TRAIN, np.uint8)
    room = {TEST: options.test * len(cluster), VALIDATION: options.validation * len(cluster)}
    for place in np.random.default_rng(options.seed).permutation(len(sizes)):
        for part in (TEST, VALIDATION):
            if sizes[place] <= room[part]:
                split[place] = part
                room[part] -= sizes[place]
                break
    return split[member]
