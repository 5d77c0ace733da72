"""Which molecules of a training set are kept out of training, to compare runs without touching a test set."""

from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np

from models.data.datasets import ReferenceMolecule, flat_smiles


@dataclass(frozen=True)
class HeldOut:
    """Molecules that training must not see.

    Attributes:
        validation: A random part of the set.
        sized: A few molecules of each atom count.
        keys: Flat SMILES of both.
    """

    validation: list[ReferenceMolecule]
    sized: list[ReferenceMolecule]
    keys: frozenset[str]


def hold_out(
    molecules: Sequence[ReferenceMolecule],
    excluded: AbstractSet[str],
    validation: int,
    per_size: int,
    sizes: range,
    seed: int = 0,
) -> HeldOut:
    """Choose by chance, the same way each time.  Molecules that differ in stereo only count as one.

    Args:
        molecules: The training set.
        excluded: Flat SMILES that are used for nothing.
        validation: Molecules of the random part.
        per_size: Molecules of each atom count, but at most a quarter of all that have it.
        sizes: Atom counts.
        seed: Fixes the choice.
    """
    atoms = np.array([len(molecule.numbers) for molecule in molecules])
    quota = {size: min(per_size, int((atoms == size).sum()) // 4) for size in sizes}
    chosen, sized, seen = list[ReferenceMolecule](), list[ReferenceMolecule](), set[str]()
    taken: Counter[int] = Counter()
    for row in np.random.default_rng(seed).permutation(len(atoms)).tolist():
        size, wanted = int(atoms[row]), len(chosen) < validation
        if not wanted and taken[size] >= quota.get(size, 0):
            continue
        key = flat_smiles(molecules[row].smiles)
        if key is None or key in excluded or key in seen:
            continue
        seen.add(key)
        if wanted:
            chosen.append(molecules[row])
        if taken[size] < quota.get(size, 0):
            taken[size] += 1
            sized.append(molecules[row])
    return HeldOut(chosen, sorted(sized, key=lambda molecule: len(molecule.numbers)), frozenset(seen))
