"""What the curvature drift of the quotient SDE does to sampled molecules of 5 to 20 atoms.

Axes: B samples, N padded atoms, T marks, M molecules, S samples of each.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from models.data.batch import pad, split_by_size
from models.evaluation.conformers import Sampled, Target, score
from models.experiments.ensembles import Quantities, columns
from models.networks.conditioned import ConditionedDenoiser
from models.pipeline import PAIR_BUDGET
from models.samplers.loop import sample
from models.samplers.noise import SeededNoise
from models.samplers.schedule import build_schedule
from models.samplers.state import SamplerState, start
from models.samplers.steps import StepConfig, build_step
from models.weights import Model

SIZES = range(5, 21)
GROUPS = ((5, 8), (9, 12), (13, 16), (17, 20))
MARKS = (0.25, 0.5, 0.75)
FORMS = {
    "SDE, noise 1, with curvature": StepConfig("sde", noise_scale=1.0),
    "SDE, noise 1, without": StepConfig("sde", noise_scale=1.0, curvature=False),
    "SDE, noise 0.5, with curvature": StepConfig("sde", noise_scale=0.5),
    "SDE, noise 0.5, without": StepConfig("sde", noise_scale=0.5, curvature=False),
    "ODE": StepConfig("ode"),
}


@dataclass(frozen=True)
class Drawn:
    """Samples of every molecule.

    Attributes:
        x: At t = 1, Å.  [S, N, 3] for each molecule
        sizes: Squared radius |x_t|^2 at the `MARKS`, Å^2.  [M, S, T]
    """

    x: list[np.ndarray]
    sizes: np.ndarray


def measure_form(
    model: Model,
    targets: Sequence[Target],
    config: StepConfig,
    steps: int,
    on_done: Callable[[int], None] = lambda count: None,
) -> Quantities:
    """Sample every target with one form of the sampler and measure sizes, validity and distances.

    Along the way the mean of |x_t|^2 is known, whatever the shapes are: ((1-t)^2 std^2 3(N-1) + t^2 |x_data|^2) for an
    uncoupled Gaussian prior.  An exact sampler at noise scale 1 keeps it.
    """
    model.check_sampler(config.kind)
    drawn = draw(model, targets, config, steps, on_done)
    ratios = [_radii(x) / _radii(t.references).mean() for x, t in zip(drawn.x, targets, strict=True)]
    named = {"Rg / data": [float(r.mean()) for r in ratios], "SD of Rg / data": [float(r.std()) for r in ratios]}
    for column, time in enumerate(MARKS):
        expected = np.array([expected_size(target, time, model.prior_std_ang) for target in targets])
        named[f"mean square radius at t = {time:g} / exact"] = (drawn.sizes[:, :, column].mean(1) / expected).tolist()
    scores = [score(Sampled(target, x)) for target, x in zip(targets, drawn.x, strict=True)]
    return {**named, **columns(scores)}


@torch.inference_mode()
def draw(
    model: Model, targets: Sequence[Target], config: StepConfig, steps: int, on_done: Callable[[int], None]
) -> Drawn:
    """Samples of every target, from the seeds that it names; all forms begin at the same noise."""
    draws = [(m, k) for m, target in enumerate(targets) for k in range(target.requested)]
    counts = [targets[m].molecule.num_atoms for m, _ in draws]
    x: list[np.ndarray] = [np.zeros((t.requested, t.molecule.num_atoms, 3), dtype=np.float32) for t in targets]
    sizes = np.zeros((len(targets), max(t.requested for t in targets), len(MARKS)))
    watched = {round(mark * steps): column for column, mark in enumerate(MARKS)}
    for rows in split_by_size(counts, PAIR_BUDGET):
        members = [draws[row] for row in rows]
        batch = pad([targets[m].molecule.features for m, _ in members]).to(model.device)
        noise = SeededNoise([targets[m].seed + k for m, k in members], [counts[row] for row in rows])
        state = start(model.prior, noise, batch.token_mask, batch.bonded, steps)
        index = tuple(np.array(members).T)

        def look(state: SamplerState, index: tuple = index) -> None:
            column = watched.get(int(state.done[0]))
            if column is not None:
                sizes[(*index, column)] = state.x.square().sum((1, 2)).cpu().numpy()

        denoise = ConditionedDenoiser(model.module, batch)
        end = sample(denoise, state, build_step(config), build_schedule("uniform"), look).cpu().numpy()
        for (m, k), structure in zip(members, end, strict=True):
            x[m][k] = structure[: x[m].shape[1]]
        on_done(len(rows))
    return Drawn(x, sizes)


def _radii(x: np.ndarray) -> np.ndarray:
    """Radius of gyration, unit masses, Å.  [S, N, 3] -> [S]"""
    return np.sqrt(np.square(x - x.mean(1, keepdims=True)).sum((1, 2)) / x.shape[1])


def expected_size(target: Target, t: float, std_ang: float) -> float:
    """Mean of |x_t|^2, Å^2."""
    atoms = target.molecule.num_atoms
    data = float(np.square(_radii(target.references)).mean()) * atoms
    return (1 - t) ** 2 * std_ang**2 * 3 * (atoms - 1) + t**2 * data
