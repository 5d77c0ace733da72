"""Energy and gradient of conformers by a named (semi-)quantum method.

Axes: K conformers of one molecule, N atoms.  Coordinates in angstrom, energies in kcal/mol.
"""

import warnings
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from models.errors import DataError

KCAL_PER_EV = 23.060548
_KCAL_PER_HARTREE = 627.509474
_BOHR_ANG = 0.529177210903


class Potential(Protocol):
    """What a relaxation descends on.

    Attributes:
        name: Method as chemists write it.
        elements: Atomic numbers that it knows.
    """

    name: str
    elements: frozenset[int]

    def __call__(self, numbers: Tensor, charge: int, x: Tensor) -> tuple[Tensor, Tensor]:
        """[N], formal charge, [K, N, 3] float64 -> energies [K], gradients, kcal/mol/Å [K, N, 3], both float64."""


class Aimnet2:
    """AIMNet2, a neural network potential trained on wB97M-D3 energies, from its TorchScript file.

    Args:
        path: `aimnet2_wb97m-d3_0.jpt` of the PyPI package Auto3D 2.3.1 (MIT).
        device: Where to run.

    Source:
        Anstine, Zubatyuk, Isayev 2025, "AIMNet2: a neural network potential to meet your neutral, charged, organic,
        and elemental-organic needs".
    """

    name = "AIMNet2 (wB97M-D3)"
    elements = frozenset((1, 5, 6, 7, 8, 9, 14, 15, 16, 17, 33, 34, 35, 53))

    def __init__(self, path: Path, device: str = "cpu") -> None:
        if not path.is_file():
            raise DataError(f"no AIMNet2 file at {path}")
        self.device = torch.device(device)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript is old, and what the file is
            self.module = torch.jit.load(str(path), map_location=self.device).eval()

    def __call__(self, numbers: Tensor, charge: int, x: Tensor) -> tuple[Tensor, Tensor]:
        """One call for all conformers."""
        count = len(x)
        coordinates = x.to(self.device, torch.float32).requires_grad_()
        with torch.enable_grad():
            inputs = {
                "coord": coordinates,
                "numbers": numbers.to(self.device)[None].expand(count, -1),
                "charge": torch.full((count,), float(charge), device=self.device),
            }
            energy = self.module(inputs)["energy"]
            (gradient,) = torch.autograd.grad(energy.sum(), coordinates)
        return KCAL_PER_EV * energy.detach().to(x), KCAL_PER_EV * gradient.to(x)


class Gfn2:
    """GFN2-xTB through the package tblite.

    Raises:
        DataError: tblite is not installed.

    Source:
        Bannwarth, Ehlert, Grimme 2019, "GFN2-xTB".
    """

    name = "GFN2-xTB"
    elements = frozenset(range(1, 87))

    def __init__(self) -> None:
        try:
            from tblite.interface import Calculator
        except ImportError as error:
            raise DataError("GFN2-xTB needs the package tblite; install it with `pip install tblite`") from error
        self._calculator = Calculator

    def __call__(self, numbers: Tensor, charge: int, x: Tensor) -> tuple[Tensor, Tensor]:
        """One conformer after the other; each starts from the charges of the one before."""
        positions = x.numpy() / _BOHR_ANG
        calculator = self._calculator("GFN2-xTB", numbers.numpy(), positions[0], charge=float(charge))
        calculator.set("verbosity", 0)
        energies, gradients = np.full(len(x), np.inf), np.zeros(x.shape)
        for row, position in enumerate(positions):
            calculator.update(position)
            try:
                result = calculator.singlepoint()
            except RuntimeError:  # no self-consistent charges: the conformer counts as infinitely high
                continue
            energies[row] = _KCAL_PER_HARTREE * result["energy"]
            gradients[row] = _KCAL_PER_HARTREE / _BOHR_ANG * result["gradient"]
        return torch.from_numpy(energies), torch.from_numpy(gradients)
