"""Molecules in, verified ensembles out: one call without a server, shared by tests, command line and service."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch

from models.data.batch import pad, split_by_size
from models.data.guess import Guesser, Recipe, guess_all
from models.data.verify import REASONS, GeometryLimits, find_faults, geometry_limits
from models.errors import SamplerError
from models.networks.conditioned import ConditionedDenoiser
from models.samplers.loop import sample
from models.samplers.noise import SeededNoise
from models.samplers.schedule import build_schedule
from models.samplers.state import SamplerState, start
from models.samplers.steps import KINDS, StepConfig, build_step
from models.structure import Conformer, Ensemble, Molecule, Problem
from models.weights import Model

MAX_STEPS = 1_000
MAX_SEED = 2**53 - 1  # every seed survives JSON readers that keep numbers as doubles
RETRY_STRIDE = 2**32
_REASONS = REASONS | {
    "no_guess": "ETKDG could not embed the molecule in time; start from noise",
    "stopped": "the work was ended before this conformer was finished; ask for less, or wait longer",
}
Start = Literal["noise", "etkdg", "mmff94s"]
STARTS: tuple[str, ...] = get_args(Start)
DEFAULT_START: Start = "noise"
STEPS = {"noise": 50, "etkdg": 5, "mmff94s": 5}  # where nothing else is asked for
START_TIME = {"noise": 0.0, "etkdg": 0.8, "mmff94s": 0.95}  # likewise
MAX_TRIES = 32
PAIR_BUDGET = 64 * 48**2  # padded pairs in one batch: bounds memory, and matrices are then large enough to be fast


class _StoppedError(Exception):
    """Leaves the sampler's loop when the caller no longer wants the result."""


@dataclass(frozen=True)
class SampleOptions:
    """How to sample.

    Attributes:
        kind: `ode` (Euler), `heun` or `sde`.
        steps: Steps from the start to the structure.
        schedule: Time grid.
        quotient: Move between shapes only.
        noise_scale: gamma of the SDE.
        rounds: How often at most each conformer is drawn before it is given up.
        half: Run matrix products in bfloat16.
        start: `noise`; `etkdg` to begin at an ETKDG guess that was mixed with noise; `mmff94s` to relax it first.
        start_time: Share of the guess in that mixture, the time at which paths then begin; 0 from noise.
        tries: Relaxed guesses that are made for each conformer, of which the lowest in energy is taken.
    """

    kind: str = "ode"
    steps: int = 50
    schedule: str = "uniform"
    quotient: bool = True
    noise_scale: float = 0.5
    rounds: int = 5
    half: bool = False
    start: str = "noise"
    start_time: float = 0.0
    tries: int = 1

    def __post_init__(self) -> None:
        """Refuse what no sampler can do."""
        if self.start not in STARTS:
            raise SamplerError(f"unknown start {self.start!r}; allowed: {', '.join(STARTS)}")
        if self.start == "noise" and self.start_time:
            raise SamplerError(
                f"start_time is {self.start_time}, but paths from noise begin at 0; leave it out, or take start 'etkdg'"
            )
        if self.start != "noise" and not 0 < self.start_time < 1:
            raise SamplerError(f"start_time is {self.start_time}; allowed: above 0, below 1")
        if self.start != "noise" and self.kind == "sde":
            raise SamplerError(
                "sampler kind 'sde' needs the score of paths from noise, which a guess does not have; use 'ode' or "
                "'heun', or start 'noise'"
            )
        if not 1 <= self.tries <= (MAX_TRIES if self.start == "mmff94s" else 1):
            raise SamplerError(f"tries is {self.tries}; allowed: 1 to {MAX_TRIES} with start 'mmff94s', else 1")
        if self.kind not in KINDS:
            raise SamplerError(f"unknown sampler {self.kind!r}; allowed: {', '.join(KINDS)}")
        if not 1 <= self.steps <= MAX_STEPS:
            raise SamplerError(f"steps is {self.steps}; allowed: 1 to {MAX_STEPS}")
        if self.rounds < 1:
            raise SamplerError(f"rounds is {self.rounds}; allowed: 1 or more")

    def to_values(self) -> dict[str, Any]:
        """What a caller chooses, or the defaults in its place, as plain JSON values."""
        names = ("start", "start_time", "tries", "kind", "steps", "schedule")
        return {name: getattr(self, name) for name in names} | {"start_time": self.start_time or None}


def build_options(
    start: str = DEFAULT_START, steps: int | None = None, start_time: float | None = None, **rest: Any
) -> SampleOptions:
    """Options with the default steps and time of a start where none are given.

    Raises:
        SamplerError: As for `SampleOptions`.
    """
    if start_time is None:
        start_time = START_TIME.get(start, 0.0)
    return SampleOptions(
        start=start, steps=STEPS.get(start, 1) if steps is None else steps, start_time=start_time, **rest
    )


@dataclass(frozen=True)
class Draw:
    """One structure to be made: which molecule, which place in its ensemble, which seed, which try from 0."""

    molecule: int
    index: int
    seed: int
    attempt: int


def generate(
    model: Model,
    molecules: Sequence[Molecule],
    counts: Sequence[int],
    seeds: Sequence[int],
    options: SampleOptions,
    should_stop: Callable[[], bool] = lambda: False,
    on_done: Callable[[int], None] = lambda count: None,
    on_structure: Callable[[Draw, np.ndarray, str | None], None] = lambda draw, x, fault: None,
    guesser: Guesser = guess_all,
) -> list[Ensemble]:
    """Sample verified conformers of several molecules in shared batches.

    Conformer k of seed s is conformer 0 of seed s + k, so any of them can be made again alone; a conformer that is
    drawn again after a failed check takes a seed from a later stride.  No result depends on the other molecules.

    Args:
        model: The trained model.
        molecules: What to sample.
        counts: Conformers of each.
        seeds: First seed of each.
        options: How to sample.
        should_stop: Asked after each sampler step and while guesses are made; true ends the work, and what is missing
            is reported as `stopped`.
        on_done: Called with the number of conformers that have just been settled, good or given up.
        on_structure: Called with every structure drawn and its fault or None; evaluation counts by it.  Without a guess
            to start from there is no structure, and it gets one of NaN.
        guesser: Makes the guesses of warm starts, those of a batch in one call.

    Returns:
        One ensemble per molecule.

    Raises:
        SamplerError: The options do not fit the model.
    """
    model.check_sampler(options.kind)
    limits = [geometry_limits(molecule) for molecule in molecules]
    good: list[dict[int, Conformer]] = [{} for _ in molecules]
    faults: list[dict[int, str]] = [{} for _ in molecules]
    attempts, first_pass = [0] * len(molecules), [0] * len(molecules)

    def check_stop(state: SamplerState | None = None) -> None:
        if should_stop():
            raise _StoppedError

    stopped, dropped = False, set[int]()
    for attempt in range(options.rounds):
        draws = [
            Draw(m, k, (seeds[m] + k + attempt * RETRY_STRIDE) % (MAX_SEED + 1), attempt)
            for m, count in enumerate(counts)
            if not _hopeless(attempts[m], len(good[m]))
            for k in range(count)
            if k not in good[m]
        ]
        last = attempt + 1 == options.rounds
        for rows in split_by_size([molecules[d.molecule].num_atoms for d in draws], PAIR_BUDGET):
            batch = [draws[row] for row in rows]
            try:
                structures, known = _sample_batch(model, molecules, batch, options, guesser, check_stop)
            except _StoppedError:
                stopped = True
                break
            settled = 0
            found = _faults(molecules, limits, batch, structures, known)
            for draw, x, fault in zip(batch, structures, found, strict=True):
                on_structure(draw, x, fault)
                attempts[draw.molecule] += 1
                if fault is None:
                    good[draw.molecule][draw.index] = Conformer(draw.index, draw.seed, x)
                    first_pass[draw.molecule] += attempt == 0
                else:
                    faults[draw.molecule][draw.index] = fault
                settled += fault is None or last
            on_done(settled)
        if stopped:
            break
        if not last:
            given_up = [m for m in range(len(molecules)) if _hopeless(attempts[m], len(good[m])) and m not in dropped]
            dropped.update(given_up)
            if given_up:
                on_done(sum(counts[m] for m in given_up))
    return [
        Ensemble(
            molecule,
            counts[m],
            tuple(good[m][k] for k in sorted(good[m])),
            _problems(
                [
                    "stopped" if stopped and m not in dropped else faults[m][k]
                    for k in range(counts[m])
                    if k not in good[m]
                ]
            ),
            attempts[m],
            first_pass[m],
        )
        for m, molecule in enumerate(molecules)
    ]


def _sample_batch(
    model: Model,
    molecules: Sequence[Molecule],
    draws: list[Draw],
    options: SampleOptions,
    guesser: Guesser,
    check_stop: Callable[..., None],
) -> tuple[list[np.ndarray], np.ndarray]:
    """Raw structures, each [N, 3] at its true size, and whether there was a start for each; NaN where not.  [B]"""
    items = [molecules[d.molecule].features for d in draws]
    size = -(-max(item.num_tokens for item in items) // 8) * 8
    known, guess = np.ones(len(draws), dtype=bool), None
    if options.start != "noise":
        recipe = Recipe(options.start == "mmff94s", options.tries)
        guess, known = _guesses(molecules, draws, size, guesser, check_stop, recipe)
    batch = pad(items, size).to(model.device)
    noise = SeededNoise([d.seed for d in draws], [item.num_tokens for item in items])
    config = StepConfig(options.kind, options.quotient, options.noise_scale, model.prior_std_ang)
    coupled = model.coupling == "kabsch"
    with torch.inference_mode():
        state = start(
            model.prior, noise, batch.token_mask, batch.bonded, options.steps, guess, options.start_time, coupled
        )
        denoise = ConditionedDenoiser(model.module, batch, half=options.half, begin=state.begin)
        x = sample(denoise, state, build_step(config), build_schedule(options.schedule), check_stop).cpu().numpy()
    x[~known] = np.nan
    return [x[row, : item.num_tokens] for row, item in enumerate(items)], known


def _guesses(
    molecules: Sequence[Molecule],
    draws: list[Draw],
    size: int,
    guesser: Guesser,
    check_stop: Callable[..., None],
    recipe: Recipe,
) -> tuple[torch.Tensor, np.ndarray]:
    """Guesses padded to `size`, [B, N, 3], and for which draws there is one, [B]."""
    x, known = torch.zeros(len(draws), size, 3), np.zeros(len(draws), dtype=bool)
    rows_of = _rows_of(draws)
    seeds = [[draws[row].seed for row in rows] for rows in rows_of.values()]
    found = guesser([molecules[m] for m in rows_of], seeds, check_stop, recipe)
    for rows, guesses in zip(rows_of.values(), found, strict=True):
        for row, guess in zip(rows, guesses, strict=True):
            known[row] = guess is not None
            if guess is not None:
                x[row, : len(guess)] = torch.from_numpy(guess)
    return x, known


def _rows_of(draws: list[Draw]) -> dict[int, list[int]]:
    """Which rows belong to each molecule."""
    rows: dict[int, list[int]] = {}
    for row, draw in enumerate(draws):
        rows.setdefault(draw.molecule, []).append(row)
    return rows


def _faults(
    molecules: Sequence[Molecule],
    limits: list[GeometryLimits],
    draws: list[Draw],
    structures: list[np.ndarray],
    known: np.ndarray,
) -> list[str | None]:
    """First fault of each structure, or None; geometry is checked for all conformers of a molecule at once."""
    faults: list[str | None] = [None if there else "no_guess" for there in known]
    for m, every in _rows_of(draws).items():
        rows = [row for row in every if known[row]]
        if not rows:
            continue
        found = find_faults(molecules[m], limits[m], np.stack([structures[row] for row in rows]))
        for row, fault in zip(rows, found, strict=True):
            faults[row] = fault
    return faults


def _hopeless(attempts: int, good: int) -> bool:
    """Whether more draws are a waste: many were made and none was good."""
    return attempts >= 20 and good == 0


def _problems(faults: list[str]) -> tuple[Problem, ...]:
    return tuple(
        Problem(reason, detail, faults.count(reason)) for reason, detail in _REASONS.items() if reason in faults
    )
