"""A running batch: paths that share the calls of the network, each at its own time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch

from models.blueprint import Blueprint
from models.data.batch import pad
from models.data.guess import Guesser, Recipe
from models.data.residues import POINTS_PER_RESIDUE, without_conditions
from models.draws import Draw, Path, rows_of
from models.errors import SamplerError
from models.networks.conditioned import ConditionedDenoiser
from models.networks.held import Held
from models.options import STRUCTURE, SampleOptions, from_noise
from models.samplers.noise import SeededNoise
from models.samplers.schedule import build_schedule
from models.samplers.state import SamplerState, advance, start
from models.samplers.steps import StepConfig, build_step
from models.structure import Features, Molecule, Subject
from models.weights import Model

_SIZE_STEP = 8  # batches are padded to multiples of this, so that few shapes occur


@dataclass(frozen=True)
class Origin:
    """Where one path begins and how far it goes.

    Attributes:
        features: Of the molecule.
        seed: Of its noise.
        options: How to sample.
        guess: Structure to begin at, Å; None begins at the prior.  [N, 3]
        as_asked: Whether that is where it was meant to begin.
        held: Points that keep a given shape, and that shape, Å; None if none do.  [N] bool, [N, 3]
    """

    features: Features
    seed: int
    options: SampleOptions
    guess: np.ndarray | None = None
    as_asked: bool = True
    held: tuple[np.ndarray, np.ndarray] | None = None


def begin_at(subject: Subject, seed: int, options: SampleOptions, guess: np.ndarray | None) -> Origin:
    """Where a path begins: where the options say, or at noise if it should begin at a guess and there is none."""
    if isinstance(subject, Blueprint):
        return _begin_chain(subject, seed, options)
    if guess is None and options.start != "noise":
        return Origin(subject.features, seed, from_noise(options), as_asked=False)
    return Origin(subject.features, seed, options, guess)


def _begin_chain(blueprint: Blueprint, seed: int, options: SampleOptions) -> Origin:
    """Backbones begin at noise or at the structure that came with them."""
    start, held = None, None
    if options.start == STRUCTURE:
        if blueprint.start is None:
            raise SamplerError("start is 'structure', but there is no structure to begin at")
        start = blueprint.start.reshape(-1, 3)
    if blueprint.fixed is not None and blueprint.motif is not None:
        held = np.repeat(blueprint.fixed, POINTS_PER_RESIDUE), blueprint.motif.reshape(-1, 3)
    return Origin(blueprint.features, seed, options, start, held=held)


class Paths:
    """B paths on their way; they join and leave between steps.

    No path depends on the others in the batch, but for the last bits of matrix products.
    """

    def __init__(self, state: SamplerState, denoise: ConditionedDenoiser, options: SampleOptions, model: Model) -> None:
        self._state, self._denoise = state, denoise
        self._options, self._model = options, model
        # beside the state's own counts, so that the host need not wait for the device to know who is finished
        self._left = (state.total - state.done).cpu().numpy()
        config = StepConfig(options.kind, options.quotient, options.noise_scale)
        if options.kind == "sde":
            config = replace(config, prior=model.score_prior, curvature=options.curvature, churn=options.churn)
        self._step, self._schedule = build_step(config), build_schedule(options.schedule)

    def __len__(self) -> int:
        return len(self._left)

    @property
    def finished(self) -> np.ndarray:
        """True for paths that reached their structure.  [B]"""
        return self._left <= 0

    @torch.inference_mode()
    def advance(self) -> None:
        """One step of every path."""
        self._state = advance(self._state, self._denoise, self._step, self._schedule)
        self._left = self._left - 1

    def wait(self) -> None:
        """Return when the device has done what was asked of it."""
        if self._state.x.is_cuda:
            torch.cuda.synchronize(self._state.x.device)

    @torch.inference_mode()
    def join(self, other: Paths) -> Paths:
        """Both, in this order; they must agree in `SampleOptions.shared`."""
        return Paths(self._state.join(other._state), self._denoise.join(other._denoise), self._options, self._model)

    @torch.inference_mode()
    def take(self, rows: Sequence[int] | np.ndarray) -> Paths:
        """The paths in these rows, in that order."""
        index = torch.as_tensor(rows, dtype=torch.int64, device=self._state.x.device)
        return Paths(self._state.take(index), self._denoise.take(index), self._options, self._model)

    def structures(self, rows: Sequence[int] | np.ndarray) -> list[np.ndarray]:
        """Coordinates of some paths, each at its true size, Å [N, 3]."""
        made = self._state.x[torch.as_tensor(rows, dtype=torch.int64, device=self._state.x.device)].cpu().numpy()
        counts = self._state.noise.counts
        return [x[: counts[row]].copy() for row, x in zip(rows, made, strict=True)]


@torch.inference_mode()
def start_paths(model: Model, origins: Sequence[Origin], size: int = 0) -> Paths:
    """Paths before their first step.

    Args:
        model: The trained model.
        origins: Where they begin: all at guesses, or all at the prior, and equal in `SampleOptions.shared`.
        size: Padded tokens at least.
    """
    items = [origin.features for origin in origins]
    batch = pad(items, max(size, padded_size(max(item.num_tokens for item in items)))).to(model.device)
    points = model.module.config.points_per_token
    mask = batch.point_mask(points)
    noise = SeededNoise([origin.seed for origin in origins], [points * item.num_tokens for item in items])
    guess = None
    if origins[0].guess is not None:
        guess = torch.zeros(*mask.shape, 3)
        for row, origin in enumerate(origins):
            assert origin.guess is not None
            guess[row, : len(origin.guess)] = torch.from_numpy(origin.guess)
    steps, begin = (
        torch.tensor([getattr(origin.options, name) for origin in origins], device=model.device)
        for name in ("steps", "start_time")
    )
    coupled = model.coupling == "kabsch"
    state = start(model.prior, noise, mask, batch.bonded, steps, guess, begin, coupled)
    options = origins[0].options
    denoise = ConditionedDenoiser(
        model.module,
        batch,
        half=options.half,
        begin=state.begin,
        held=_held(origins, state.x),
        unasked=without_conditions(batch) if options.guided else None,
        guidance=options.guidance,
    )
    return Paths(state, denoise, options, model)


def _held(origins: Sequence[Origin], like: torch.Tensor) -> Held | None:
    """Held points of all paths, if any has some."""
    if all(origin.held is None for origin in origins):
        return None
    held = Held.nothing(torch.zeros_like(like, device="cpu"))
    for row, origin in enumerate(origins):
        if origin.held is not None:
            mask, x = origin.held
            held.mask[row, : len(mask)] = torch.from_numpy(mask)
            held.x[row, : len(x)] = torch.from_numpy(x)
    return Held(held.x.to(like), held.mask.to(like.device))


def padded_size(tokens: int) -> int:
    """Tokens to which a batch is padded."""
    return -(-tokens // _SIZE_STEP) * _SIZE_STEP


def recipe_of(options: SampleOptions) -> Recipe:
    """How the guesses of a warm start are made."""
    return Recipe(options.start == "mmff94s", options.tries)


def run_paths(
    model: Model,
    molecules: Sequence[Subject],
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
    guesses: Sequence[np.ndarray | None] = [None] * len(draws)
    if options.guessed:
        guesses = _guesses(cast(Sequence[Molecule], molecules), draws, options, guesser, check_stop)
    origins = [
        begin_at(molecules[draw.molecule], draw.seed, options, guess)
        for draw, guess in zip(draws, guesses, strict=True)
    ]
    made: dict[int, Path] = {}
    for as_asked in (True, False):
        rows = [row for row, origin in enumerate(origins) if origin.as_asked == as_asked]
        if not rows:
            continue
        paths = start_paths(model, [origins[row] for row in rows])
        while not paths.finished.all():
            paths.advance()
            check_stop()
        made |= {row: Path(x, as_asked) for row, x in zip(rows, paths.structures(range(len(rows))), strict=True)}
    return [made[row] for row in range(len(draws))]


def _guesses(
    molecules: Sequence[Molecule],
    draws: Sequence[Draw],
    options: SampleOptions,
    guesser: Guesser,
    check_stop: Callable[[], None],
) -> list[np.ndarray | None]:
    """The guess of each draw, or None."""
    rows = {m: kept for m, own in rows_of(draws).items() if (kept := [row for row in own if draws[row].guess])}
    seeds = [[draws[row].seed for row in own] for own in rows.values()]
    found = guesser([molecules[m] for m in rows], seeds, check_stop, recipe_of(options))
    guesses: list[np.ndarray | None] = [None] * len(draws)
    for own, made in zip(rows.values(), found, strict=True):
        for row, guess in zip(own, made, strict=True):
            guesses[row] = guess
    return guesses
