"""Molecules in, verified ensembles out: one call without a server, shared by tests, command line and service."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from models.data.batch import split_by_size
from models.data.guess import Guesser, guess_all
from models.data.verify import REASONS, GeometryLimits, find_faults, geometry_limits
from models.options import SampleOptions
from models.paths import Draw, Path, rows_of, run_paths
from models.structure import Conformer, Ensemble, Molecule, Problem
from models.weights import Model

MAX_SEED = 2**53 - 1  # every seed survives JSON readers that keep numbers as doubles
RETRY_STRIDE = 2**32
_REASONS = REASONS | {
    "stopped": "the work was ended before this conformer was finished; ask for less, or wait longer",
}
PAIR_BUDGET = 64 * 48**2  # padded pairs in one batch: bounds memory, and matrices are then large enough to be fast


class _StoppedError(Exception):
    """Leaves the sampler's loop when the caller no longer wants the result."""


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
    attempts, first_pass, unguided = ([0] * len(molecules) for _ in range(3))

    def check_stop() -> None:
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
                paths = run_paths(model, molecules, batch, options, guesser, check_stop)
            except _StoppedError:
                stopped = True
                break
            settled = 0
            found = _faults(molecules, limits, batch, paths)
            for draw, path, fault in zip(batch, paths, found, strict=True):
                on_structure(draw, path.x, fault)
                attempts[draw.molecule] += 1
                if fault is None:
                    good[draw.molecule][draw.index] = Conformer(draw.index, draw.seed, path.x)
                    first_pass[draw.molecule] += attempt == 0
                    unguided[draw.molecule] += not path.as_asked
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
            _noted(molecule, unguided[m]),
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


def _faults(
    molecules: Sequence[Molecule], limits: list[GeometryLimits], draws: list[Draw], paths: list[Path]
) -> list[str | None]:
    """First fault of each structure, or None; geometry is checked for all conformers of a molecule at once."""
    faults: list[str | None] = [None] * len(draws)
    for m, rows in rows_of(draws).items():
        x = np.stack([paths[row].x for row in rows])
        for row, fault in zip(rows, find_faults(molecules[m], limits[m], x), strict=True):
            faults[row] = fault
    return faults


def _noted(molecule: Molecule, unguided: int) -> Molecule:
    """The molecule, with a note if conformers of it had no guess to start from."""
    if not unguided:
        return molecule
    words = f"conformers sampled from noise, since ETKDG could not embed the molecule in time: {unguided}"
    return replace(molecule, notes=(*molecule.notes, words))


def _hopeless(attempts: int, good: int) -> bool:
    """Whether more draws are a waste: many were made and none was good."""
    return attempts >= 20 and good == 0


def _problems(faults: list[str]) -> tuple[Problem, ...]:
    return tuple(
        Problem(reason, detail, faults.count(reason)) for reason, detail in _REASONS.items() if reason in faults
    )
