"""Training sets ready for the device: features of molecules, padded, with all of their conformers."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rdkit import Chem

from models.data import mmff
from models.data.datasets import ReferenceMolecule
from models.data.elements import ELEMENT_CODE
from models.data.features import build_features
from models.geometry.alignment import rmsd
from models.structure import Features

MOST_CONFORMERS = 32  # of one molecule; evenly spaced ones are taken, so that an ensemble keeps its breadth


@dataclass(frozen=True)
class PackedSet:
    """Features of M molecules padded to one size, and their C conformers and G guesses, ready to be indexed.

    Attributes:
        tokens: [M, N, F] uint8
        pairs: [M, N, N] int16
        bonded: [M, N, N] bool
        quadruples: [M, Q, 4] int16, padded with -1
        counts: Atoms of each molecule.  [M] int16
        conformers: First conformer of each molecule, and how many there are.  [M, 2] int32
        coordinates: Centred, Å.  [C, N, 3] float32
        guesses_of: First guess of each molecule, and how many there are.  [M, 2] int32
        guesses: Centred, Å.  [G, N, 3] float32
        targets: Conformer that is nearest to each guess.  [G] int32
        automorphisms: Renumberings that no feature notices, padded with the identity; see `models.data.automorphisms`.
            None unless they were asked for.  [M, A, N] int16
    """

    tokens: np.ndarray
    pairs: np.ndarray
    bonded: np.ndarray
    quadruples: np.ndarray
    counts: np.ndarray
    conformers: np.ndarray
    coordinates: np.ndarray
    guesses_of: np.ndarray
    guesses: np.ndarray
    targets: np.ndarray
    automorphisms: np.ndarray | None = None

    def arrays(self) -> dict[str, np.ndarray]:
        """Every array that is there, by name."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}


@dataclass(frozen=True)
class Member:
    """One molecule on its way into a block.

    Attributes:
        features: Features.
        coordinates: Conformers, centred, Å.  [C, N, 3] float32
        guesses: Centred, Å.  [G, N, 3] float32
        targets: Conformer that is nearest to each guess.  [G]
    """

    features: Features
    coordinates: np.ndarray
    guesses: np.ndarray
    targets: np.ndarray


def featurise(molecule: ReferenceMolecule, excluded: frozenset[str], relax_guesses: bool = False) -> Member | str:
    """Features and centred coordinates of a training molecule, or the word for why it is left out.

    With `relax_guesses` each guess comes a second time, relaxed with MMFF94s where that knows the molecule.

    The handedness of each quadruple is read off the coordinates: in cages such as adamantane the SMILES fixes the tags
    only up to a renumbering of equivalent atoms.
    """
    mol = Chem.MolFromSmiles(molecule.smiles)
    if mol is None:
        return "unreadable"
    if Chem.MolToSmiles(mol, isomericSmiles=False) in excluded:
        return "test_molecule"
    mol = Chem.AddHs(mol)
    if mol.GetNumAtoms() != len(molecule.numbers):
        return "atom_count"
    if any(atom.GetAtomicNum() not in ELEMENT_CODE for atom in mol.GetAtoms()):
        return "unsupported_element"
    features = build_features(mol)
    total = len(molecule.coordinates)
    kept = np.unique(np.linspace(0, total - 1, min(total, MOST_CONFORMERS)).astype(int))
    x = _centred(molecule.coordinates[kept])
    quadruples = features.quadruples.copy()
    a, b, c, d = (x[0, quadruples[:, k]] for k in range(4))
    wrong = np.einsum("qd,qd->q", a - d, np.cross(b - d, c - d)) < 0
    quadruples[wrong, :2] = quadruples[wrong, 1::-1]
    guesses = _centred(molecule.guesses) if molecule.guesses is not None else x[:0]
    if relax_guesses and len(guesses) and mmff.has_parameters(mol):
        guesses = np.concatenate((guesses, _centred(mmff.relax(mol, guesses).coordinates)))
    return Member(
        Features(features.tokens, features.pairs, features.bonded, quadruples), x, guesses, nearest_of(guesses, x)
    )


def nearest_of(mobile: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Index of the nearest target of each structure, by RMSD of all atoms in their order.

    [G, N, 3], [C, N, 3] -> [G]
    """
    if not len(mobile):
        return np.zeros(0, dtype=np.int32)
    first, second = torch.from_numpy(mobile), torch.from_numpy(target)
    mask = torch.ones(1, mobile.shape[1], dtype=torch.bool).expand(len(mobile) * len(target), -1)
    pairs = (first.repeat_interleave(len(target), 0), second.repeat(len(mobile), 1, 1))
    return rmsd(*pairs, mask).view(len(mobile), len(target)).argmin(1).numpy().astype(np.int32)


def pack(
    molecules: Iterable[ReferenceMolecule],
    excluded: Iterable[str],
    edges: tuple[int, ...],
    processes: int,
    relax_guesses: bool = False,
) -> tuple[list[PackedSet], dict[str, int]]:
    """Featurise a set and pack it into one block per size bucket.

    Args:
        molecules: The set.
        excluded: Flat SMILES to leave out.
        edges: Largest atom count of each bucket, ascending; larger molecules are left out.
        processes: Worker processes.
        relax_guesses: See `featurise`.

    Returns:
        One block per bucket that has members.
        How many were kept, and how many left out for which reason.
    """
    buckets: dict[int, list[Member]] = {edge: [] for edge in edges}
    counts: dict[str, int] = {"kept": 0}
    work = partial(featurise, excluded=frozenset(excluded), relax_guesses=relax_guesses)
    with get_context("spawn").Pool(processes, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for result in pool.imap(work, molecules, chunksize=64):
            size = 0 if isinstance(result, str) else result.features.num_tokens
            edge = next((e for e in edges if size <= e), None)
            if isinstance(result, str) or edge is None:
                reason = result if isinstance(result, str) else "too_large"
                counts[reason] = counts.get(reason, 0) + 1
                continue
            counts["kept"] += 1
            buckets[edge].append(result)
    return [_block(members, edge) for edge, members in buckets.items() if members], counts


def save_packed(path: Path, blocks: list[PackedSet]) -> None:
    """Write blocks to one compressed npz file."""
    arrays: dict[str, Any] = {
        f"{k}.{name}": array for k, block in enumerate(blocks) for name, array in block.arrays().items()
    }
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)


def load_packed(path: Path) -> list[PackedSet]:
    """Read what `save_packed` wrote."""
    with np.load(path) as data:
        blocks: dict[str, dict[str, np.ndarray]] = {}
        for key in data.files:
            number, name = key.split(".")
            blocks.setdefault(number, {})[name] = data[key]
    return [PackedSet(**blocks[number]) for number in sorted(blocks, key=int)]


def visits(block: PackedSet, least_per_size: int, ensemble_repeats: int) -> np.ndarray:
    """Molecules that one pass visits; some come more than once.

    Molecules of rare sizes are repeated so that small molecules are learned too: QM9 has four molecules of five atoms
    and 17,000 of nineteen, and without this a user's first try, such as ethanol, is the least trained of all.
    Molecules with guesses come with an ensemble, of which each visit shows one conformer.

    Args:
        block: The set.
        least_per_size: Fewest visits to each atom count.
        ensemble_repeats: Visits to each molecule that has guesses.

    Returns:
        Rows of the block.  [V]
    """
    times = np.where(block.guesses_of[:, 1] > 0, ensemble_repeats, 1)
    rows = [np.repeat(np.arange(len(block.counts)), times)]
    for size in np.unique(block.counts).tolist():
        members = np.flatnonzero(block.counts == size)
        missing = least_per_size - int(times[members].sum())
        if missing > 0:
            rows.append(np.resize(members, missing))
    return np.concatenate(rows)


def _block(members: list[Member], size: int) -> PackedSet:
    total = len(members)
    most = max(1, max(len(m.features.quadruples) for m in members))
    conformers, guesses_of = (
        np.stack((np.cumsum(numbers) - np.array(numbers), numbers), axis=1).astype(np.int32)
        for numbers in ([len(m.coordinates) for m in members], [len(m.guesses) for m in members])
    )
    block = PackedSet(
        tokens=np.zeros((total, size, members[0].features.tokens.shape[1]), dtype=np.uint8),
        pairs=np.zeros((total, size, size), dtype=np.int16),
        bonded=np.zeros((total, size, size), dtype=bool),
        quadruples=np.full((total, most, 4), -1, dtype=np.int16),
        counts=np.array([m.features.num_tokens for m in members], dtype=np.int16),
        conformers=conformers,
        coordinates=np.zeros((conformers[:, 1].sum(), size, 3), dtype=np.float32),
        guesses_of=guesses_of,
        guesses=np.zeros((guesses_of[:, 1].sum(), size, 3), dtype=np.float32),
        targets=np.concatenate([m.targets + first for m, first in zip(members, conformers[:, 0], strict=True)]).astype(
            np.int32
        ),
    )
    for row, member in enumerate(members):
        features, n = member.features, member.features.num_tokens
        block.tokens[row, :n] = features.tokens
        block.pairs[row, :n, :n] = features.pairs
        block.bonded[row, :n, :n] = features.bonded
        block.quadruples[row, : len(features.quadruples)] = features.quadruples
        for (first, number), into, values in (
            (conformers[row], block.coordinates, member.coordinates),
            (guesses_of[row], block.guesses, member.guesses),
        ):
            into[first : first + number, :n] = values
    return block


def _centred(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(1, keepdims=True)).astype(np.float32)
