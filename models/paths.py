"""The paths of one batch: a start from noise or from a guess for each draw, and all steps of the sampler."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from models.data.batch import pad
from models.data.guess import Guesser, Recipe
from models.networks.conditioned import ConditionedDenoiser
from models.options import SampleOptions, from_noise
from models.samplers.loop import sample
from models.samplers.noise import SeededNoise
from models.samplers.schedule import build_schedule
from models.samplers.state import start
from models.samplers.steps import StepConfig, build_step
from models.structure import Molecule
from models.weights import Model


@dataclass(frozen=True)
class Draw:
    """One structure to be made: which molecule, which place in its ensemble, which seed, which try from 0."""

    molecule: int
    index: int
    seed: int
    attempt: int


@dataclass(frozen=True)
class Path:
    """A raw structure, Å [N, 3] at its true size, and whether it began where the options say."""

    x: np.ndarray
    as_asked: bool


def run_paths(
    model: Model,
    molecules: Sequence[Molecule],
    draws: Sequence[Draw],
    options: SampleOptions,
    guesser: Guesser,
    check_stop: Callable[[], None],
) -> list[Path]:
    """Raw structures of a batch of draws, not checked; where there is no guess to start from, paths start from noise.

    Args:
        model: The trained model.
        molecules: What the draws are of.
        draws: What to make.
        options: How to sample.
        guesser: Makes the guesses of warm starts, all in one call.
        check_stop: Called after each step and while guesses are made; may raise to stop.

    Returns:
        One for each draw.
    """
    if options.start == "noise":
        return [Path(x, True) for x in _run(model, molecules, draws, None, options, check_stop)]
    guesses = _guesses(molecules, draws, options, guesser, check_stop)
    known = {row: guess for row, guess in enumerate(guesses) if guess is not None}
    paths: dict[int, Path] = {}
    if known:
        made = _run(model, molecules, [draws[row] for row in known], [*known.values()], options, check_stop)
        paths.update((row, Path(x, True)) for row, x in zip(known, made, strict=True))
    lost = [row for row in range(len(draws)) if row not in known]
    if lost:
        made = _run(model, molecules, [draws[row] for row in lost], None, from_noise(options), check_stop)
        paths.update((row, Path(x, False)) for row, x in zip(lost, made, strict=True))
    return [paths[row] for row in range(len(draws))]


def rows_of(draws: Sequence[Draw]) -> dict[int, list[int]]:
    """Which rows belong to each molecule."""
    rows: dict[int, list[int]] = {}
    for row, draw in enumerate(draws):
        rows.setdefault(draw.molecule, []).append(row)
    return rows


def _guesses(
    molecules: Sequence[Molecule],
    draws: Sequence[Draw],
    options: SampleOptions,
    guesser: Guesser,
    check_stop: Callable[[], None],
) -> list[np.ndarray | None]:
    """The guess of each draw, or None."""
    rows = rows_of(draws)
    seeds = [[draws[row].seed for row in own] for own in rows.values()]
    recipe = Recipe(options.start == "mmff94s", options.tries)
    found = guesser([molecules[m] for m in rows], seeds, check_stop, recipe)
    guesses: list[np.ndarray | None] = [None] * len(draws)
    for own, made in zip(rows.values(), found, strict=True):
        for row, guess in zip(own, made, strict=True):
            guesses[row] = guess
    return guesses


def _run(
    model: Model,
    molecules: Sequence[Molecule],
    draws: Sequence[Draw],
    guesses: Sequence[np.ndarray] | None,
    options: SampleOptions,
    check_stop: Callable[[], None],
) -> list[np.ndarray]:
    """All steps of a batch that starts and ends together."""
    items = [molecules[d.molecule].features for d in draws]
    batch = pad(items, -(-max(item.num_tokens for item in items) // 8) * 8).to(model.device)
    noise = SeededNoise([d.seed for d in draws], [item.num_tokens for item in items])
    guess = None
    if guesses is not None:
        guess = torch.zeros(*batch.token_mask.shape, 3)
        for row, known in enumerate(guesses):
            guess[row, : len(known)] = torch.from_numpy(known)
    step = build_step(StepConfig(options.kind, options.quotient, options.noise_scale, model.prior_std_ang))
    coupled = model.coupling == "kabsch"
    with torch.inference_mode():
        state = start(
            model.prior, noise, batch.token_mask, batch.bonded, options.steps, guess, options.start_time, coupled
        )
        denoise = ConditionedDenoiser(model.module, batch, half=options.half, begin=state.begin)
        x = sample(denoise, state, step, build_schedule(options.schedule), lambda state: check_stop())
        made = x.cpu().numpy()
    return [made[row, : item.num_tokens] for row, item in enumerate(items)]
