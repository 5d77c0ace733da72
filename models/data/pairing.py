"""Pair rough guesses of a molecule with its conformers, equivalent atoms included.

A guess and the minimum next to it may number equivalent atoms differently: the hydrogens of a methyl group, the two
sides of a phenyl ring.  Such a pair would teach that atoms change places.  So each guess is renumbered, by
renumberings that the features do not notice, until it lies as close to its conformer as it can.

Axes: G guesses, C conformers, A renumberings, N atoms.  Coordinates in angstrom, centred.
"""

from dataclasses import dataclass
from itertools import permutations

import numpy as np
import torch

from models.data.automorphisms import find_automorphisms
from models.geometry.alignment import best_overlap, kabsch, rmsd
from models.geometry.rigid import rotate
from models.structure import Features

MOST_RENUMBERINGS = 50


@dataclass(frozen=True)
class Pairs:
    """Guesses with their conformers.

    Attributes:
        guesses: Renumbered, Å.  [G, N, 3] float32
        targets: Conformer of each.  [G] int32
        rmsd_ang: Distance of all atoms after superposition, Å.  [G]
    """

    guesses: np.ndarray
    targets: np.ndarray
    rmsd_ang: np.ndarray

    def within(self, radius_ang: float) -> "Pairs":
        """Those that are no further apart than this."""
        near = self.rmsd_ang <= radius_ang
        return Pairs(self.guesses[near], self.targets[near], self.rmsd_ang[near])


def pair_guesses(features: Features, hydrogen: np.ndarray, guesses: np.ndarray, conformers: np.ndarray) -> Pairs:
    """Choose the nearest conformer of each guess by its heavy atoms, then renumber hydrogens of one parent each.

    Any two hydrogens on one atom can change places: no feature tells them apart.

    Args:
        features: Of the molecule.
        hydrogen: True for hydrogens.  [N]
        guesses: [G, N, 3]
        conformers: [C, N, 3]

    Returns:
        One pair for each guess.
    """
    if not len(guesses):
        return Pairs(guesses.astype(np.float32), np.zeros(0, dtype=np.int32), np.zeros(0))
    frame = ~hydrogen if (~hydrogen).sum() > 2 else np.ones(len(hydrogen), dtype=bool)
    renumberings = find_automorphisms(features, MOST_RENUMBERINGS).astype(np.int64)
    mobile = torch.from_numpy(guesses[:, renumberings]).double()  # [G, A, N, 3]
    target = torch.from_numpy(conformers).double()
    mask = torch.from_numpy(frame)
    centres = [x[..., mask, :].mean(-2, keepdim=True) for x in (mobile, target)]
    mobile, target = mobile - centres[0], target - centres[1]
    covariance = torch.einsum("ganx,cny->gacxy", mobile[:, :, mask], target[:, mask])
    sizes = [x[..., mask, :].square().sum((-2, -1)) for x in (mobile, target)]
    distance = sizes[0][:, :, None] + sizes[1] - 2 * best_overlap(covariance)
    choice, nearest = np.divmod(distance.flatten(1).argmin(1).numpy(), len(conformers))
    rows = torch.arange(len(guesses))
    fixed = target[nearest]
    chosen, frames = mobile[rows, choice], mask.expand(len(guesses), -1)
    turned = rotate(chosen, kabsch(chosen, fixed, frames))
    near = _swap_hydrogens(turned.numpy(), fixed.numpy(), features.bonded, hydrogen)
    moved = near - near.mean(1, keepdims=True)
    everything = torch.ones(len(guesses), len(hydrogen), dtype=torch.bool)
    error = rmsd(torch.from_numpy(moved), fixed, everything)
    return Pairs(moved.astype(np.float32), nearest.astype(np.int32), error.numpy())


def _swap_hydrogens(x: np.ndarray, target: np.ndarray, bonded: np.ndarray, hydrogen: np.ndarray) -> np.ndarray:
    """Exchange the hydrogens of each parent so that they lie closest to the target.  [G, N, 3] -> [G, N, 3]"""
    out = x.copy()
    for parent in np.flatnonzero((bonded & hydrogen).sum(1) > 1):
        members = np.flatnonzero(bonded[parent] & hydrogen)
        orders = np.array(list(permutations(members)))  # [P, H]
        cost = np.square(x[:, orders] - target[:, None, members]).sum((2, 3))  # [G, P]
        out[:, members] = np.take_along_axis(x, orders[cost.argmin(1)][..., None], axis=1)
    return out
