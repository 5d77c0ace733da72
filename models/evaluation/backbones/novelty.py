"""How near the nearest training chain is, in three stages: shared words of a structural alphabet, alignment, TM-align.

Each residue becomes one of twenty letters that describe what it touches (3Di).  Chains that share rare words of four
letters are aligned locally in that alphabet, and of the best aligned ones the TM-score is computed.  For fourteen
validation chains against 16,535 training chains the best score was 0.71 on average, as high as that of five other
searches together, and without the second stage 0.64.

Axes: R residues of all chains, W words.

Source:
    van Kempen et al. 2024, "Fast and accurate protein structure search with Foldseek", for alphabet and matrix, as
    biotite has them; the search is our own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import biotite.structure as struc
import numpy as np
from biotite.sequence.align import SubstitutionMatrix, align_optimal
from biotite.structure.alphabet import I3DSequence, to_3di

from models.data.structure_files import ATOMS
from models.evaluation.backbones.chains import Group
from models.evaluation.backbones.similarity import tm_scores

WORD = 4  # letters
ALIGNED, COMPARED = 300, 10  # chains that get to the second and to the third stage
_LETTERS = len(I3DSequence.alphabet)
_GAP = (-10, -1)


@dataclass(frozen=True)
class Library:
    """Chains to search in.

    Attributes:
        chains: The chains.
        letters: 3Di letters of each.  [L] each
        words: Different words of all chains, one chain after the other.  [W]
        owners: Which chain each is of.  [W]
        rarity: Weight of each possible word: log of chains over chains that have it.  [160000]
        norms: Length of each chain's vector of weights.  [M]
    """

    chains: Group
    letters: tuple[np.ndarray, ...]
    words: np.ndarray
    owners: np.ndarray
    rarity: np.ndarray
    norms: np.ndarray


@dataclass(frozen=True)
class Neighbour:
    """The nearest chain that was found.

    Attributes:
        number: Its place in the library.
        tm: TM-score over the length of the query.
    """

    number: int
    tm: float


def build_library(chains: Group, on_progress: Callable[[int, int], None] = lambda done, total: None) -> Library:
    """Spell all chains, and note their words."""
    letters = []
    for done, chain in enumerate(chains.chains, 1):
        letters.append(spell(chain))
        on_progress(done, len(chains))
    each = [words_of(text) for text in letters]
    words, owners = np.concatenate(each), np.repeat(np.arange(len(each)), [len(found) for found in each])
    having = np.bincount(words, minlength=_LETTERS**WORD)
    rarity = np.log(len(each) / np.maximum(having, 1))
    norms = np.sqrt(np.bincount(owners, rarity[words] ** 2, minlength=len(each)))
    return Library(chains, tuple(letters), words, owners, rarity, np.maximum(norms, 1e-9))


def nearest(library: Library, query: np.ndarray) -> Neighbour:
    """The chain with the highest TM-score among those that the first stages keep.  [L, 4, 3]"""
    letters = spell(query)
    weight = np.zeros(len(library.rarity))
    asked = words_of(letters)
    weight[asked] = library.rarity[asked] ** 2
    shared = np.bincount(library.owners, weight[library.words], minlength=len(library.norms)) / library.norms
    kept = np.argsort(-shared, kind="stable")[:ALIGNED]
    matrix = SubstitutionMatrix.std_3di_matrix()
    aligned = np.array([_alignment_score(letters, library.letters[k], matrix) for k in kept])
    best = kept[np.argsort(-aligned, kind="stable")[:COMPARED]]
    scores = [tm_scores(query, library.chains.chains[k])[0] for k in best]
    return Neighbour(int(best[int(np.argmax(scores))]), float(np.max(scores)))


def search(
    library: Library, queries: Sequence[np.ndarray], on_progress: Callable[[int, int], None] = lambda done, total: None
) -> list[Neighbour]:
    """The nearest chain of each query."""
    found = []
    for done, query in enumerate(queries, 1):
        found.append(nearest(library, query))
        on_progress(done, len(queries))
    return found


def spell(chain: np.ndarray) -> np.ndarray:
    """3Di letters of a backbone.  [L, 4, 3] -> [L] uint8"""
    count = len(chain)
    atoms = struc.AtomArray(count * len(ATOMS))
    atoms.coord = chain.reshape(-1, 3).astype(np.float32)
    atoms.atom_name = np.tile(ATOMS, count)
    atoms.element = np.tile([name[0] for name in ATOMS], count)
    atoms.res_id = np.repeat(np.arange(1, count + 1), len(ATOMS))
    atoms.res_name[:] = "ALA"
    atoms.chain_id[:] = "A"
    return to_3di(atoms)[0][0].code.astype(np.uint8)


def words_of(letters: np.ndarray) -> np.ndarray:
    """Different words of four letters, as numbers.  [L] -> [W]"""
    windows = np.lib.stride_tricks.sliding_window_view(letters.astype(np.int64), WORD)
    return np.unique(windows @ _LETTERS ** np.arange(WORD))


def _alignment_score(first: np.ndarray, second: np.ndarray, matrix: SubstitutionMatrix) -> int:
    pair = []
    for letters in (first, second):
        sequence = I3DSequence()
        sequence.code = letters
        pair.append(sequence)
    return int(align_optimal(*pair, matrix, gap_penalty=_GAP, local=True, max_number=1)[0].score)
