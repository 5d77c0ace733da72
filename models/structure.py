"""The few records every other module passes around.

Axes: B samples, N padded tokens (atoms or residues), K points per token, Q oriented quadruples, F feature columns.
Coordinates are in angstrom.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    import torch
    from rdkit.Chem import Mol
    from torch import Tensor


@dataclass(frozen=True)
class Features:
    """What the network may know of one structure before it has coordinates.

    Attributes:
        tokens: Categories of each token, one column per feature.  [N, F] uint8
        pairs: Mixed-radix code of the pair features; see `models.data.features`.  [N, N] int16
        bonded: True where two tokens are bonded.  [N, N] bool
        quadruples: Points whose signed volume must be positive in the right enantiomer.  [Q, 4] int16
    """

    tokens: np.ndarray
    pairs: np.ndarray
    bonded: np.ndarray
    quadruples: np.ndarray

    @property
    def num_tokens(self) -> int:
        """Number of tokens, N."""
        return int(self.tokens.shape[0])


class Subject(Protocol):
    """What can be sampled: a molecule, or a backbone of some length."""

    @property
    def id(self) -> str:
        """The caller's name for it."""

    @property
    def features(self) -> Features:
        """Input of the network."""


@dataclass(frozen=True)
class Molecule:
    """One molecule with every hydrogen explicit, stereo fully specified, and its features.

    Attributes:
        id: The caller's name for it.
        mol: RDKit molecule; its atom order is the order of all coordinates.
        smiles: Canonical isomeric SMILES without explicit hydrogens and without atom maps.
        features: Input of the network.
        notes: What was decided for the caller, such as a stereocentre that was left open.
    """

    id: str
    mol: Mol
    smiles: str
    features: Features
    notes: tuple[str, ...] = ()

    @property
    def num_atoms(self) -> int:
        """Number of atoms, hydrogens included."""
        return self.features.num_tokens


@dataclass(frozen=True)
class PaddedBatch:
    """Features of B structures padded to N tokens.

    Attributes:
        tokens: Categories.  [B, N, F] int64
        pairs: Pair codes.  [B, N, N] int64
        bonded: Bond graph.  [B, N, N] bool
        quadruples: Point indices.  [B, Q, 4] int64
        quadruple_mask: True for real quadruples.  [B, Q] bool
        token_mask: True for real tokens.  [B, N] bool
    """

    tokens: Tensor
    pairs: Tensor
    bonded: Tensor
    quadruples: Tensor
    quadruple_mask: Tensor
    token_mask: Tensor

    def __len__(self) -> int:
        return int(self.tokens.shape[0])

    def point_mask(self, points_per_token: int) -> Tensor:
        """True for the points of real tokens.  [B, N*K] bool"""
        return self.token_mask if points_per_token == 1 else self.token_mask.repeat_interleave(points_per_token, dim=1)

    def to(self, device: torch.device | str) -> PaddedBatch:
        """Copy of the batch on another device."""
        return PaddedBatch(*(getattr(self, f.name).to(device) for f in fields(self)))

    def take(self, index: Tensor) -> PaddedBatch:
        """The samples at `index`, in that order."""
        return replace(self, **{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def join(self, other: PaddedBatch) -> PaddedBatch:
        """Both, in this order, padded to the larger sizes."""
        import torch  # here, so that processes that only parse molecules never load it

        shapes = {"tokens": (0,), "pairs": (0, 0), "bonded": (0, 0), "token_mask": (0,)}
        size = max(self.tokens.shape[1], other.tokens.shape[1])
        most = max(self.quadruples.shape[1], other.quadruples.shape[1])
        joined = {}
        for f in fields(self):
            width = (size,) * len(shapes[f.name]) if f.name in shapes else (most,)
            joined[f.name] = torch.cat([_widen(getattr(part, f.name), width) for part in (self, other)])
        return PaddedBatch(**joined)


@dataclass(frozen=True)
class Conformer:
    """One sampled structure that passed every check.

    Attributes:
        index: Its place in the ensemble, from 0.
        seed: The seed that makes it again.
        coordinates: Å, atom order of `Molecule.mol`.  [N, 3] float32
        relaxed: Whether a force field has moved it since.
        energy_kcal_mol: Of these coordinates; None unless it was asked for.
    """

    index: int
    seed: int
    coordinates: np.ndarray
    relaxed: bool = False
    energy_kcal_mol: float | None = None


@dataclass(frozen=True)
class Problem:
    """Why some conformers are missing or not as asked: a stable word, a sentence, and how often."""

    reason: str
    detail: str
    count: int


@dataclass(frozen=True)
class Finishing:
    """What was done to an ensemble after sampling.

    Attributes:
        relax: Method that was to move the conformers, as it is written; None if none was.
        energy_method: Method of the energies; None if there are none.
        lowest_kcal_mol: Energy of the lowest conformer; None without energies.
        removed: Conformers left out because that was asked for: `duplicate`, `energy_window`.
        problems: What could not be done; the conformers are there all the same.
    """

    relax: str | None = None
    energy_method: str | None = None
    lowest_kcal_mol: float | None = None
    removed: tuple[Problem, ...] = ()
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class Ensemble:
    """The conformers of one molecule, and what could not be made.

    Attributes:
        molecule: What was sampled.
        requested: How many conformers were asked for.
        conformers: Those that passed every check, in seed order, or by energy if they were ranked.
        problems: Why some are missing; empty when none is.
        attempts: Structures drawn in all.
        first_pass: Structures of the first draw that passed.
        finishing: What was done after sampling; None if nothing was.
    """

    molecule: Molecule
    requested: int
    conformers: tuple[Conformer, ...]
    problems: tuple[Problem, ...]
    attempts: int
    first_pass: int
    finishing: Finishing | None = None

    @property
    def num_returned(self) -> int:
        """How many conformers there are."""
        return len(self.conformers)

    @property
    def num_pruned(self) -> int:
        """How many conformers finishing left out."""
        return sum(problem.count for problem in self.finishing.removed) if self.finishing else 0

    @property
    def status(self) -> str:
        """`ok` when all are there or were left out as asked, `partial` when some are, `failed` when none is."""
        if len(self.conformers) + self.num_pruned == self.requested:
            return "ok"
        return "partial" if self.conformers else "failed"


def _widen(tensor: Tensor, width: tuple[int, ...]) -> Tensor:
    """Pad the axes after the first to `width` with zeros or False."""
    from torch.nn.functional import pad

    padding = [0, 0] * (tensor.ndim - 1 - len(width))
    for axis in reversed(range(len(width))):
        padding += [0, width[axis] - tensor.shape[1 + axis]]
    return pad(tensor, padding)
