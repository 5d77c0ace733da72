"""Renumberings of a molecule that its features do not notice.

Such a renumbering p maps atom n to atom p(n) with the same token, the same codes of all pairs, and each oriented
quadruple onto one of the same handedness.  Hydrogens of a methyl group can be exchanged, as can those of a CH2: no
feature tells them apart.  Two mirror-image stereocentres cannot.  The bond graph is unchanged, and so is every prior.

Axes: M molecules, N padded atoms, Q quadruples, A automorphisms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from rdkit import Chem

if TYPE_CHECKING:
    from models.data.packing import PackedSet
from models.structure import Features

MAX_MATCHES = 1_000  # renumberings of one molecule that are looked at; enough for 97 % of QM9


def add_automorphisms(block: PackedSet, most: int, on_done: Callable[[int], None] = lambda count: None) -> PackedSet:
    """The block with at most `most` automorphisms of each molecule, the identity first and in every unused place."""
    total, size = block.tokens.shape[:2]
    found = np.tile(np.arange(size, dtype=np.int16), (total, most, 1))
    for row in range(total):
        n, quadruples = int(block.counts[row]), block.quadruples[row]
        features = Features(
            block.tokens[row, :n],
            block.pairs[row, :n, :n],
            block.bonded[row, :n, :n],
            quadruples[quadruples[:, 0] >= 0],
        )
        own = find_automorphisms(features, most)
        found[row, : len(own), :n] = own
        on_done(row + 1)
    used = int((found != found[:, :1]).any(2).sum(1).max()) + 1
    return replace(block, automorphisms=np.ascontiguousarray(found[:, :used]))


def find_automorphisms(features: Features, most: int) -> np.ndarray:
    """At most `most` automorphisms, the identity first.

    All of them form a group.  Of a larger group a fixed random part is taken, for all of its members are equally good
    and the first ones found differ in a few hydrogens only.

    Args:
        features: Of one molecule.
        most: At least 1.

    Returns:
        Renumberings p.  [A, N] int16
    """
    _, colours = np.unique(features.tokens, axis=0, return_inverse=True)
    graph = Chem.RWMol()
    for colour in colours.ravel().tolist():
        atom = Chem.Atom(6)
        atom.SetIsotope(colour + 1)  # RDKit matches isotopes, so they stand for the whole token
        graph.AddAtom(atom)
    for i, j in np.argwhere(np.triu(features.bonded)).tolist():
        graph.AddBond(i, j, Chem.BondType.SINGLE)
    matches = graph.GetSubstructMatches(graph, uniquify=False, maxMatches=MAX_MATCHES)
    found = np.array(matches, dtype=np.int16).reshape(-1, features.num_tokens)
    found = found[_keeps(features, found)]
    identity = np.arange(features.num_tokens, dtype=np.int16)
    others = found[(found != identity).any(1)]
    if len(others) >= most:
        others = others[np.sort(np.random.default_rng(0).permutation(len(others))[: most - 1])]
    return np.concatenate((identity[None], others))


def _keeps(features: Features, p: np.ndarray) -> np.ndarray:
    """Which renumberings leave every feature as it is.  [A, N] -> [A]"""
    tokens = (features.tokens[p] == features.tokens).all((1, 2))
    pairs, bonded = (
        (matrix[p[:, :, None], p[:, None, :]] == matrix).all((1, 2)) for matrix in (features.pairs, features.bonded)
    )
    before = _handed(features.quadruples[None], features.num_tokens)
    after = _handed(p[:, features.quadruples], features.num_tokens)
    return tokens & pairs & bonded & (before == after).all(1)


def _handed(quadruples: np.ndarray, size: int) -> np.ndarray:
    """Sorted numbers that stand for a set of quadruples up to even permutations of each.  [A, Q, 4] -> [A, Q]"""
    wide = quadruples.astype(np.int64)
    odd = np.ones(wide.shape[:2], dtype=np.int64)
    for i, j in combinations(range(4), 2):
        odd *= np.sign(wide[..., j] - wide[..., i])
    points = np.sort(wide, axis=-1) @ size ** np.arange(4)
    return np.sort(points * odd, axis=-1)
