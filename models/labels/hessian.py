"""A model of the Hessian near a minimum, good enough to precondition a relaxation.

Axes: K conformers, N atoms.  Coordinates in angstrom, force constants in kcal/mol.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.geometry.internal import angles, torsions

_BOHR_ANG = 0.529177210903
_KCAL_PER_HARTREE = 627.509474
_STRETCH = 0.45 * _KCAL_PER_HARTREE / _BOHR_ANG**2
_BEND = 0.15 * _KCAL_PER_HARTREE
_TWIST = 0.005 * _KCAL_PER_HARTREE
# Decay, 1/bohr^2, and reference length, bohr, for atoms of the first, second and later rows.
_DECAY = torch.tensor(((1.0, 0.3949, 0.3949), (0.3949, 0.28, 0.28), (0.3949, 0.28, 0.28)), dtype=torch.float64)
_LENGTH = torch.tensor(((1.35, 2.10, 2.53), (2.10, 2.87, 3.40), (2.53, 3.40, 3.40)), dtype=torch.float64)
_STEEPEST = 5.0  # the derivative of a torsion grows without bound where three atoms are on a line, rad/Å


@dataclass(frozen=True)
class Internals:
    """Angles and torsions along the bonds of one molecule.  [A, 3], [T, 4] int64"""

    angles: Tensor
    torsions: Tensor


def find_internals(bonded: np.ndarray) -> Internals:
    """Every angle and torsion of a bond graph.  [N, N]"""
    neighbours = [np.flatnonzero(row).tolist() for row in bonded]
    bends = [(i, j, k) for j, near in enumerate(neighbours) for a, i in enumerate(near) for k in near[a + 1 :]]
    twists = [
        (i, j, k, m)
        for j, near in enumerate(neighbours)
        for k in near
        if k > j
        for i in near
        for m in neighbours[k]
        if i != k and m != j and m != i
    ]
    return Internals(torch.tensor(bends).view(-1, 3), torch.tensor(twists).view(-1, 4))


def model_hessian(x: Tensor, numbers: Tensor, internals: Internals, floor: float) -> Tensor:
    """Positive definite model Hessian.

    Args:
        x: Coordinates, Å.  [K, N, 3] float64
        numbers: Atomic numbers.  [N]
        internals: Of the bond graph.
        floor: Smallest eigenvalue, kcal/mol/Å^2; rigid motions and free rotors have it.

    Returns:
        kcal/mol/Å^2.  [K, 3N, 3N]

    Source:
        Lindh, Bernhardsson, Karlstrom, Malmqvist 1995, "On the use of a Hessian model function in molecular geometry
        optimizations".
    """
    count, atoms = x.shape[:2]
    row = (numbers > 2).long() + (numbers > 10).long()
    difference = x[:, :, None] - x[:, None]
    distance = difference.norm(dim=-1)
    closeness = torch.exp(_DECAY[row[:, None], row] * (_LENGTH[row[:, None], row] ** 2 - (distance / _BOHR_ANG) ** 2))
    closeness.diagonal(dim1=1, dim2=2).zero_()
    unit = difference / (distance + torch.eye(atoms, dtype=x.dtype)).unsqueeze(-1)
    blocks = -_STRETCH * closeness[..., None, None] * unit[..., :, None] * unit[..., None, :]
    hessian = blocks.transpose(2, 3).reshape(count, 3 * atoms, 3 * atoms)
    own = hessian.view(count, atoms, 3, atoms, 3).diagonal(dim1=1, dim2=3)
    own.sub_(blocks.sum(2).permute(0, 2, 3, 1))
    for coordinate, index, constant in (
        (angles, internals.angles, _BEND),
        (torsions, internals.torsions, _TWIST),
    ):
        if len(index):
            slope = torch.func.vmap(torch.func.jacrev(lambda p, f=coordinate, i=index: f(p, i)))(x)
            slope = slope.reshape(count, -1, 3 * atoms).nan_to_num().clamp(-_STEEPEST, _STEEPEST)
            stiffness = constant * torch.stack(
                [closeness[:, index[:, k], index[:, k + 1]] for k in range(index.shape[1] - 1)]
            ).prod(0)
            hessian = hessian + slope.mT @ (stiffness.unsqueeze(-1) * slope)
    return hessian + floor * torch.eye(3 * atoms, dtype=x.dtype)
