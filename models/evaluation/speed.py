"""What one sampler step costs, and how much of it is projection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch

from models.data.batch import pad
from models.geometry.quotient import horizontal_projection
from models.networks.conditioned import ConditionedDenoiser
from models.samplers.noise import SeededNoise
from models.samplers.schedule import build_schedule
from models.samplers.state import advance, start
from models.samplers.steps import StepConfig, build_step
from models.structure import Molecule
from models.weights import Model


@dataclass(frozen=True)
class StepCost:
    """Median times of one Euler step of a batch.

    Attributes:
        atoms: Atoms of the molecule, hydrogens included.
        batch: Conformers in the batch.
        step_s: One whole step, s.
        projection_s: The horizontal projection alone, s.
    """

    atoms: int
    batch: int
    step_s: float
    projection_s: float

    def conformers_per_s(self, steps: int) -> float:
        """Structures per second when each takes this many steps."""
        return self.batch / (steps * self.step_s)


def measure_step(
    model: Model, molecule: Molecule, batch: int, repeats: int, clock: Callable[[], float], half: bool = False
) -> StepCost:
    """Time Euler steps of `batch` copies of a molecule.

    Args:
        model: The trained model.
        molecule: What to sample.
        batch: Copies.
        repeats: Steps that are timed; the median counts.
        clock: Monotonic seconds.
        half: Run matrix products in bfloat16.
    """
    features = [molecule.features] * batch
    padded = pad(features).to(model.device)
    noise = SeededNoise(range(batch), [molecule.num_atoms] * batch)
    step, schedule = build_step(StepConfig("ode")), build_schedule("uniform")
    state = start(model.prior, noise, padded.token_mask, padded.bonded, repeats + 2)
    denoise = ConditionedDenoiser(model.module, padded, half=half)
    steps, projections = [], []
    with torch.inference_mode():
        for k in range(repeats + 2):
            began = _now(clock, model.device)
            state = advance(state, denoise, step, schedule)
            middle = _now(clock, model.device)
            horizontal_projection(state.x, denoise.guess, state.mask)
            end = _now(clock, model.device)
            if k >= 2:  # the first steps set up kernels
                steps.append(middle - began)
                projections.append(end - middle)
    return StepCost(molecule.num_atoms, batch, median(steps), median(projections))


def _now(clock: Callable[[], float], device: torch.device) -> float:
    """Time after everything asked of the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock()
