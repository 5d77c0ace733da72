"""Relax the conformers of one molecule side by side, by a preconditioned quasi-Newton method.

From an MMFF94s minimum to .05 eV/Å it takes 10 to 20 evaluations; first-order methods such as FIRE take hundreds.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.labels.hessian import find_internals, model_hessian
from models.labels.potentials import KCAL_PER_EV, Potential

_LONGEST_ANG = 0.3  # longest move of an atom in one step
_SHRINK, _GROW = 0.4, 1.5  # of that length after a step that was refused, and after one that was taken
_UPHILL = 0.3  # kcal/mol that a step may rise; rounding of float32 energies is .05


@dataclass(frozen=True)
class Descent:
    """When to stop.

    Attributes:
        force: Largest force on an atom of a relaxed conformer, eV/Å.
        steps: Most steps.
        floor: Smallest stiffness of the preconditioner, kcal/mol/Å^2.
        window: A conformer that stays this far above the lowest after six steps is left where it is, kcal/mol.
    """

    force: float = 0.05
    steps: int = 30
    floor: float = 3.0
    window: float = 12.0


@dataclass(frozen=True)
class Minima:
    """Relaxed conformers.

    Attributes:
        x: Å.  [K, N, 3] float64
        energy: kcal/mol.  [K]
        force: Largest force on an atom, eV/Å.  [K]
    """

    x: Tensor
    energy: Tensor
    force: Tensor


def relax(
    potential: Potential, numbers: np.ndarray, charge: int, bonded: np.ndarray, x: np.ndarray, descent: Descent
) -> Minima:
    """Descend to the nearest minimum of each conformer.

    BFGS on the inverse Hessian, started from the inverse of a model Hessian; steps that rise are refused and shortened.

    Args:
        potential: Energy and gradient.
        numbers: Atomic numbers.  [N]
        charge: Formal charge of the molecule.
        bonded: Bond graph.  [N, N]
        x: Starts, Å.  [K, N, 3]
        descent: When to stop.

    Returns:
        One minimum per start; `force` says how near it is.
    """
    element = torch.from_numpy(np.asarray(numbers, dtype=np.int64))
    x_now = torch.from_numpy(np.array(x, dtype=np.float64))
    count = len(x_now)
    inverse = torch.linalg.inv(model_hessian(x_now, element, find_internals(bonded), descent.floor))
    energy, gradient = potential(element, charge, x_now)
    reach = torch.full((count,), _LONGEST_ANG, dtype=torch.float64)
    for step in range(descent.steps):
        live = largest_force(gradient) >= descent.force
        if step > 6:
            live &= energy < energy.min() + descent.window
        rows = live.nonzero().squeeze(-1)
        if not len(rows):
            break
        move = -(inverse[rows] @ gradient[rows].flatten(1).unsqueeze(-1)).view(len(rows), -1, 3)
        longest = move.norm(dim=-1).amax(-1)
        move = move * (reach[rows] / longest).clamp(max=1)[:, None, None]
        x_next = x_now[rows] + move
        energy_next, gradient_next = potential(element, charge, x_next)
        inverse[rows] = _update(inverse[rows], move.flatten(1), (gradient_next - gradient[rows]).flatten(1))
        taken = energy_next <= energy[rows] + _UPHILL
        reach[rows] = torch.where(taken, (reach[rows] * _GROW).clamp(max=_LONGEST_ANG), reach[rows] * _SHRINK)
        rows, fresh = rows[taken], taken.nonzero().squeeze(-1)
        x_now[rows], energy[rows], gradient[rows] = x_next[fresh], energy_next[fresh], gradient_next[fresh]
    return Minima(x_now, energy, largest_force(gradient))


def largest_force(gradient: Tensor) -> Tensor:
    """Largest force on an atom.  [K, N, 3] kcal/mol/Å -> [K] eV/Å"""
    return gradient.norm(dim=-1).amax(-1) / KCAL_PER_EV


def _update(inverse: Tensor, step: Tensor, change: Tensor) -> Tensor:
    """BFGS update of inverse Hessians; one whose step met no positive curvature is kept.

    [K, D, D], [K, D], [K, D] -> [K, D, D]
    """
    s, y = step.unsqueeze(-1), change.unsqueeze(-1)
    curvature = (s * y).sum(1, keepdim=True)
    sound = curvature > 1e-3 * s.norm(dim=1, keepdim=True) * y.norm(dim=1, keepdim=True)
    rate = torch.where(sound, 1 / curvature.where(sound, torch.ones_like(curvature)), 0.0)
    turned = inverse @ y
    growth = (1 + rate * (y * turned).sum(1, keepdim=True)) * rate
    mixed = turned @ s.mT
    return inverse + growth * (s @ s.mT) - rate * (mixed + mixed.mT)
