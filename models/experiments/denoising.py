"""Denoising error on fixed pairs of noise and held-out structure, the same for every run.

Axes: B pairs, N padded atoms, T times, M molecules.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.data.automorphisms import find_automorphisms
from models.data.batch import pad, split_by_size
from models.evaluation.conformers import Target
from models.experiments.arms import MAX_AUTOMORPHISMS
from models.geometry.alignment import kabsch
from models.geometry.quotient import centre
from models.geometry.rigid import random_rotation, rotate
from models.pipeline import PAIR_BUDGET
from models.samplers.noise import SeededNoise
from models.samplers.prior import Prior
from models.samplers.process import interpolate
from models.structure import PaddedBatch
from models.training.loss import LOSSES, squared_errors
from models.training.sample import renumber
from models.weights import Model

TIMES = (0.1, 0.3, 0.5, 0.7, 0.9)
COUPLINGS = ("none", "kabsch", "automorphisms")


@dataclass(frozen=True)
class Pairs:
    """Ends of B paths.

    Attributes:
        molecules: Which molecule each belongs to.  [B]
        batch: Features.
        x_noise: Start, Å.  [B, N, 3]
        x_data: End, Å.  [B, N, 3]
    """

    molecules: Tensor
    batch: PaddedBatch
    x_noise: Tensor
    x_data: Tensor


def build_pairs(targets: Sequence[Target], prior: Prior, coupling: str, draws: int, seed: int) -> list[Pairs]:
    """Pairs of every molecule's first reference, turned at random, and noise.

    Args:
        targets: The molecules.
        prior: Where paths start.
        coupling: One of `COUPLINGS`; before it, the ends are the same for all of them.
        draws: Pairs of each molecule.
        seed: Fixes them.
    """
    which = [m for m in range(len(targets)) for _ in range(draws)]
    built = []
    for rows in split_by_size([targets[m].molecule.num_atoms for m in which], PAIR_BUDGET):
        members = [which[row] for row in rows]
        items = [targets[m].molecule.features for m in members]
        batch = pad(items)
        x = torch.zeros(*batch.token_mask.shape, 3)
        for row, m in enumerate(members):
            x[row, : items[row].num_tokens] = torch.from_numpy(targets[m].references[0]).float()
        turns = np.stack([np.random.default_rng((seed, row)).standard_normal(4) for row in rows])
        x_data = rotate(centre(x, batch.token_mask), random_rotation(torch.from_numpy(turns).float()))
        noise = SeededNoise([seed * 2**32 + row for row in rows], [item.num_tokens for item in items])
        x_noise = prior(noise.draw(x_data), batch.token_mask, batch.bonded)
        if coupling == "automorphisms":
            x_noise = renumber(x_noise, x_data, _renumberings(targets, members, x.shape[1]))
        if coupling != "none":
            x_noise = rotate(x_noise, kabsch(x_noise, x_data, batch.token_mask))
        built.append(Pairs(torch.tensor(members), batch, x_noise, x_data))
    return built


@torch.no_grad()
def measure_errors(model: Model, pairs: Sequence[Pairs], molecules: int) -> dict[str, np.ndarray]:
    """Mean squared error per coordinate of the guess made from x_t alone, Å^2.

    Returns:
        Of each kind of `LOSSES`, without the weight that training gives to a time.  [T, M] for each
    """
    sums = {kind: torch.zeros(len(TIMES), molecules, dtype=torch.float64) for kind in LOSSES}
    visits = torch.zeros(molecules, dtype=torch.float64)
    for part in pairs:
        batch, members = part.batch.to(model.device), part.molecules
        mask = batch.token_mask
        x_noise, x_data = part.x_noise.to(model.device), part.x_data.to(model.device)
        visits += torch.bincount(members, minlength=molecules)
        for row, time in enumerate(TIMES):
            t = x_data.new_full((len(members),), time)
            x_t = interpolate(x_noise, x_data, t)
            denoised = model.module(batch, x_t, t)
            for kind, total in sums.items():
                errors = squared_errors(x_t, denoised, x_data, mask, kind) / (3 * mask.sum(1))
                total[row].index_add_(0, members, errors.double().cpu())
    return {kind: (total / visits).numpy() for kind, total in sums.items()}


def weighted(errors: np.ndarray) -> np.ndarray:
    """Mean over the times with the weight of training, 1 / (1 - t)^2.  [T, M] -> [M]"""
    return (errors / (1 - np.array(TIMES))[:, None] ** 2).mean(0)


def _renumberings(targets: Sequence[Target], members: Sequence[int], size: int) -> Tensor:
    """Automorphisms of each molecule, padded with the identity.  [B, A, N]"""
    known = {m: find_automorphisms(targets[m].molecule.features, MAX_AUTOMORPHISMS) for m in set(members)}
    padded = torch.arange(size).repeat(len(members), MAX_AUTOMORPHISMS, 1)
    for row, m in enumerate(members):
        count, atoms = known[m].shape
        padded[row, :count, :atoms] = torch.from_numpy(known[m])
    return padded
