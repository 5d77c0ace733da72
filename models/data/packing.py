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
from models.data.guess import embed
from models.data.pairing import Pairs, pair_guesses
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
        visits: How often one pass comes by each molecule.  [M] int16
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
    visits: np.ndarray
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
        pairs: Guesses, numbered as the conformers that are nearest to them.
        visits: How often one pass comes by.
    """

    features: Features
    coordinates: np.ndarray
    pairs: Pairs
    visits: int


@dataclass(frozen=True)
class GuessOptions:
    """Which guesses paths may begin at.

    Attributes:
        relax: Whether each guess is there a second time, relaxed with MMFF94s.
        embed: ETKDG guesses that are made for molecules that come without.
        radius_ang: Guesses that are further than this from every conformer, all atoms, are left out.  Where such a one
            should go is a matter of chance, so it would teach to stay; and where only one conformer of a molecule is
            known, all guesses would be led to it.
    """

    relax: bool = False
    embed: int = 0
    radius_ang: float = 1.0


def featurise(
    molecule: ReferenceMolecule, excluded: frozenset[str], options: GuessOptions = GuessOptions()
) -> Member | str:
    """Features, centred coordinates and guesses of a training molecule, or the word for why it is left out.

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
    features = Features(features.tokens, features.pairs, features.bonded, quadruples)
    return Member(features, x, _pairs(molecule, mol, features, x, options), molecule.visits)


def _pairs(
    molecule: ReferenceMolecule, mol: Chem.Mol, features: Features, x: np.ndarray, options: GuessOptions
) -> Pairs:
    """Guesses of the set, or else embedded ones; each also relaxed, if asked for; all paired with conformers."""
    given = molecule.guesses
    if given is None:
        made = embed(mol, range(options.embed))
        given = np.array([guess for guess in made if guess is not None]).reshape(-1, *x.shape[1:])
    if options.relax and len(given) and mmff.has_parameters(mol):
        given = np.concatenate((given, mmff.relax(mol, given).coordinates))
    return pair_guesses(features, molecule.numbers == 1, _centred(given), x).within(options.radius_ang)


def pack(
    molecules: Iterable[ReferenceMolecule],
    excluded: Iterable[str],
    edges: tuple[int, ...],
    processes: int,
    options: GuessOptions = GuessOptions(),
) -> tuple[list[PackedSet], dict[str, int]]:
    """Featurise a set and pack it into one block per size bucket.

    Args:
        molecules: The set.
        excluded: Flat SMILES to leave out.
        edges: Largest atom count of each bucket, ascending; larger molecules are left out.
        processes: Worker processes.
        options: Which guesses there are.

    Returns:
        One block per bucket that has members.
        How many were kept, and how many left out for which reason.
    """
    buckets: dict[int, list[Member]] = {edge: [] for edge in edges}
    counts: dict[str, int] = {"kept": 0}
    work = partial(featurise, excluded=frozenset(excluded), options=options)
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


def visited_rows(block: PackedSet, least_per_size: int) -> np.ndarray:
    """Molecules that one pass visits; some come more than once.

    Molecules of rare sizes are repeated so that small molecules are learned too: QM9 has four molecules of five atoms
    and 17,000 of nineteen, and without this a user's first try, such as ethanol, is the least trained of all.

    Args:
        block: The set.
        least_per_size: Fewest visits to each atom count.

    Returns:
        Rows of the block.  [V]
    """
    rows = [np.repeat(np.arange(len(block.counts)), block.visits)]
    for size in np.unique(block.counts).tolist():
        members = np.flatnonzero(block.counts == size)
        missing = least_per_size - int(block.visits[members].sum())
        if missing > 0:
            rows.append(np.resize(members, missing))
    return np.concatenate(rows)


def _block(members: list[Member], size: int) -> PackedSet:
    total = len(members)
    most = max(1, max(len(m.features.quadruples) for m in members))
    conformers, guesses_of = (
        np.stack((np.cumsum(numbers) - np.array(numbers), numbers), axis=1).astype(np.int32)
        for numbers in ([len(m.coordinates) for m in members], [len(m.pairs.guesses) for m in members])
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
        targets=np.concatenate([m.pairs.targets + first for m, (first, _) in zip(members, conformers, strict=True)]),
        visits=np.array([m.visits for m in members], dtype=np.int16),
    )
    for row, member in enumerate(members):
        features, n = member.features, member.features.num_tokens
        block.tokens[row, :n] = features.tokens
        block.pairs[row, :n, :n] = features.pairs
        block.bonded[row, :n, :n] = features.bonded
        block.quadruples[row, : len(features.quadruples)] = features.quadruples
        for (first, number), into, values in (
            (conformers[row], block.coordinates, member.coordinates),
            (guesses_of[row], block.guesses, member.pairs.guesses),
        ):
            into[first : first + number, :n] = values
    return block


def _centred(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(1, keepdims=True)).astype(np.float32)
