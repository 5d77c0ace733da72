"""Ideal geometry of a backbone, and the nearest structure that has it.

Axes: S backbones of one length, L residues, points N, CA, C, O.  Coordinates in angstrom.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

POINTS = 4
N, CA, C, O = range(POINTS)  # noqa: E741  the names of the atoms
CA_STEP_ANG = 3.80
# Distances of points of one residue, and of a residue and the next one over a trans peptide bond, which is planar: all
# ten of its five heavy atoms.  Engh and Huber 1991.
_WITHIN = ((N, CA, 1.459), (CA, C, 1.525), (C, O, 1.231), (N, C, 2.461), (CA, O, 2.401))
_ACROSS = ((C, N, 1.331), (CA, N, 2.435), (O, N, 2.250), (C, CA, 2.433), (O, CA, 2.776), (CA, CA, CA_STEP_ANG))
# Points of residues two places apart and more come no closer: about where most natural chains have their nearest pair.
_NEAREST_ANG = ((3.5, 3.4, 3.3, 2.6), (3.4, 3.5, 3.5, 3.0), (3.3, 3.5, 3.6, 3.1), (2.6, 3.0, 3.1, 2.9))
_NEAREST_CA_ANG = 4.8  # CA two places apart
_NEAREST_C_N_ANG = 2.85  # C and the N two places on
_LOOK_EVERY, _ROOM_ANG = 10, 1.0  # what could clash is sought every few rounds, with room for what moves meanwhile
_FLAT = 3.0  # strength of what keeps peptides from twisting: O and CA to the next CA
_BEND = 0.3  # strength of N-C, the angle at CA, which nature leaves some freedom
_TIE = 0.02  # pull towards where a point was, of the strength of a bond
_LOOSE = 0.7  # share of the rounds after which nothing pulls there any more
_ROUNDS = 400
_STEP_ANG = (0.1, 0.005)  # of the first and of the last round
_MOMENTS = (0.8, 0.95)


def idealise(x: Tensor, held: Tensor | None = None) -> Tensor:
    """Bring bonds, angles and peptide planes to their ideal values with little movement, and push all clashes apart.

    A fixed number of steps down the gradient of harmonic restraints, with the step of each coordinate of its own size
    (Adam), so that no structure depends on the others.

    Args:
        x: N, CA, C, O, Å.  [S, L, 4, 3]
        held: Residues that do not move; none by default.  [L] bool

    Returns:
        The same chains, Å.  [S, L, 4, 3]
    """
    count = x.shape[1]
    first, second, ideal, strength = (part.to(x.device) for part in _restraints(count))
    free = 1.0 if held is None else (~held).to(x)[:, None, None].expand(-1, POINTS, 1).reshape(-1, 1)
    start = x.reshape(len(x), -1, 3)
    now, mean, square = start.clone(), torch.zeros_like(start), torch.zeros_like(start)
    least = _least_apart(count).to(x)
    for round in range(_ROUNDS):
        if round % _LOOK_EVERY == 0:
            near = _near(now, least)
        pull = max(0.0, 1 - round / (_LOOSE * _ROUNDS)) * _TIE * (now - start)
        apart = now[:, first] - now[:, second]
        size = apart.norm(dim=-1, keepdim=True).clamp(min=1e-3)
        force = strength * (1 - ideal / size) * apart
        pull.index_add_(1, first, force).index_add_(1, second, -force)
        _push(pull, now, *near)
        pull = pull * free
        mean = _MOMENTS[0] * mean + (1 - _MOMENTS[0]) * pull
        square = _MOMENTS[1] * square + (1 - _MOMENTS[1]) * pull.square()
        share = (round + 1) / _ROUNDS
        step = _STEP_ANG[0] * (_STEP_ANG[1] / _STEP_ANG[0]) ** share
        unbiased = mean / (1 - _MOMENTS[0] ** (round + 1))
        size = (square / (1 - _MOMENTS[1] ** (round + 1))).sqrt()
        now = now - step * unbiased / (size + 0.02)
    return now.view(x.shape)


def _near(now: Tensor, least: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Pairs of points that could come too close.  [S, 4L, 3], [4L, 4L] -> flat places [P] and [P], Å [P, 1]"""
    distance = torch.cdist(now, now, compute_mode="donot_use_mm_for_euclid_dist")
    sample, one, other = ((distance < least + _ROOM_ANG) & (least > 0)).triu(1).nonzero(as_tuple=True)
    begin = sample * now.shape[1]
    return begin + one, begin + other, least[one, other].unsqueeze(-1)


def _push(pull: Tensor, now: Tensor, one: Tensor, other: Tensor, least: Tensor) -> None:
    """Add the gradient of the overlap of points that are too close to `pull`."""
    flat, total = now.view(-1, 3), pull.view(-1, 3)
    apart = flat[one] - flat[other]
    force = (1 - least / apart.norm(dim=-1, keepdim=True).clamp(min=1e-3)).clamp(max=0) * apart
    total.index_add_(0, one, force).index_add_(0, other, -force)


@lru_cache(maxsize=64)
def _least_apart(count: int) -> Tensor:
    """Least distance of two points, 0 for those of one residue and of neighbours, Å.  [4L, 4L]"""
    place = torch.arange(count).repeat_interleave(POINTS)
    later = place - place[:, None]
    least = torch.tensor(_NEAREST_ANG).repeat(count, count)
    kind = torch.arange(POINTS).repeat(count)
    for first, second, distance in ((CA, CA, _NEAREST_CA_ANG), (C, N, _NEAREST_C_N_ANG)):
        pair = (kind[:, None] == first) & (kind == second) & (later == 2)
        least[pair | pair.mT] = distance
    return least.masked_fill(later.abs() < 2, 0.0)


@lru_cache(maxsize=64)
def _restraints(count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pairs of points with their ideal distance, Å, and the strength of each.  [R], [R], [R, 1], [R, 1]"""
    here = POINTS * torch.arange(count)
    pairs = [(here + a, here + b, d, _BEND if (a, b) == (N, C) else 1.0) for a, b, d in _WITHIN]
    pairs += [(here[:-1] + a, here[1:] + b, d, _FLAT if b == CA and a != C else 1.0) for a, b, d in _ACROSS]
    first, second = torch.cat([pair[0] for pair in pairs]), torch.cat([pair[1] for pair in pairs])
    ideal, strength = (
        torch.cat([torch.full((len(pair[0]), 1), value) for pair, value in zip(pairs, values, strict=True)])
        for values in ([pair[2] for pair in pairs], [pair[3] for pair in pairs])
    )
    return first, second, ideal, strength
