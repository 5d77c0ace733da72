"""Rows of the benchmark: samples made alone and timed, then scored.

Nothing else runs in the process while a sampler is timed; worker processes start when it has ended.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np

from models.data.guess import Recipe, make_guesses
from models.data.mmff import has_parameters
from models.evaluation.baseline import EMBEDDED, RELAXED, embed_target, relax_samples
from models.evaluation.case import Case
from models.evaluation.conformers import Sampled, Target, score
from models.evaluation.draw import draw_samples
from models.evaluation.run import OnProgress, counted, served_samples, with_failures, workers
from models.evaluation.tables import plain
from models.evaluation.tally import Tally, tally_sampled
from models.options import SampleOptions, build_options
from models.pipeline import generate
from models.weights import Model

STEPS = {"noise": (5, 10, 20, 50), "etkdg": (5, 10, 20), "mmff94s": (5, 10, 20)}  # of the sampler from each start
_STARTS = {"noise": "noise", "etkdg": "ETKDG", "mmff94s": "ETKDG + MMFF94s"}
QM9_HEAVY_ATOMS = 9  # of its largest molecules
EMBED_TIMEOUT_S = 60.0

T = TypeVar("T")


@dataclass(frozen=True)
class Clocks:
    """Seconds: `wall` of the day, `cpu` of all threads of this process together."""

    wall: Callable[[], float]
    cpu: Callable[[], float]


@dataclass(frozen=True)
class Cost:
    """Time that samples took, everything included, s."""

    wall_s: float
    cpu_s: float

    def __add__(self, other: "Cost") -> "Cost":
        """One after the other."""
        return Cost(self.wall_s + other.wall_s, self.cpu_s + other.cpu_s)


def plan_rows(tries: int = 1) -> dict[str, SampleOptions]:
    """The rows of the model, by name; above 1, `tries` adds those from the lowest of so many relaxed guesses.

    Raises:
        SamplerError: There are too many tries.
    """
    starts = [(start, 1) for start in STEPS] + ([("mmff94s", tries)] if tries > 1 else [])
    return {
        f"from {'' if tried == 1 else f'lowest of {tried} '}{_STARTS[start]}, {steps} steps": build_options(
            start, steps, tries=tried
        )
        for start, tried in starts
        for steps in STEPS[start]
    }


def baseline_names(tries: int = 1) -> tuple[str, ...]:
    """The rows of RDKit; above 1, `tries` adds the one with the lowest of so many conformers for each."""
    return (EMBEDDED, RELAXED, *((f"lowest of {tries} {RELAXED}",) if tries > 1 else ()))


def default_thresholds(cases: Sequence[Case]) -> tuple[float, ...]:
    """Thresholds of COV that published figures use for molecules of this size, the main one first, Å."""
    heavy = [case.target.molecule.mol.GetNumHeavyAtoms() for case in cases if case.target]
    return (0.5, 0.1) if max(heavy, default=0) <= QM9_HEAVY_ATOMS else (0.75,)


def measure_model(
    model: Model,
    cases: Sequence[Case],
    options: SampleOptions,
    clocks: Clocks,
    processes: int,
    on_progress: OnProgress = lambda phase, done, total: None,
) -> dict[str, Any]:
    """Sample every case, timing guesses, steps, checks and redraws together, and score what was returned.

    Args:
        model: The model.
        cases: The molecules.
        options: How to sample.
        clocks: Of this process.
        processes: Processes that score afterwards.
        on_progress: Called with a phase, how much of it is done, and its total.

    Returns:
        One row as plain JSON values; see `_build_row`.

    Raises:
        SamplerError: The options do not fit the model.
    """
    targets = [case.target for case in cases if case.target]
    if targets:  # kernels are set up by the first call
        generate(model, [targets[0].molecule], [1], [targets[0].seed], replace(options, rounds=1))
    drawn, cost = _timed(clocks, lambda: draw_samples(model, cases, options, clocks.wall, on_progress))
    first = [x for case, x in zip(cases, drawn.first, strict=True) if case.target]
    draws = [Sampled(t, x) for t, x in zip(targets, first, strict=True)]
    return _build_row(cases, served_samples(cases, drawn), draws, cost, options, processes, on_progress)


def measure_baseline(
    cases: Sequence[Case],
    tries: int,
    clocks: Clocks,
    processes: int,
    on_progress: OnProgress = lambda phase, done, total: None,
) -> dict[str, dict[str, Any]]:
    """ETKDGv3, and ETKDGv3 with MMFF94s, whose time includes the embedding; one core, one molecule after another.

    Args:
        cases: The molecules.
        tries: Above 1, also take the lowest in energy of so many relaxed conformers for each.
        clocks: Of this process.
        processes: Processes that score afterwards.
        on_progress: Called with a phase, how much of it is done, and its total.

    Returns:
        Rows by the names of `baseline_names`, as plain JSON values.
    """
    targets = [case.target for case in cases if case.target]

    def each(work: Callable[[Any], Sampled], jobs: Sequence[Any], phase: str) -> tuple[list[Sampled], Cost]:
        timed = counted((_timed(clocks, partial(work, job)) for job in jobs), phase, len(jobs), on_progress)
        made, costs = zip(*timed, strict=True) if jobs else ((), ())
        return list(made), sum(costs, Cost(0.0, 0.0))

    raw, embedding = each(partial(embed_target, timeout_s=EMBED_TIMEOUT_S), targets, "embedding")
    relaxed, relaxation = each(relax_samples, raw, "relaxing")
    rows = [(raw, embedding), (relaxed, embedding + relaxation)]
    if tries > 1:
        rows.append(each(partial(_lowest, tries=tries), targets, "taking the lowest"))
    return {
        name: _build_row(cases, made, made, cost, None, processes, on_progress)
        for name, (made, cost) in zip(baseline_names(tries), rows, strict=True)
    }


def _build_row(
    cases: Sequence[Case],
    samples: Sequence[Sampled],
    draws: Sequence[Sampled],
    cost: Cost,
    options: SampleOptions | None,
    processes: int,
    on_progress: OnProgress,
) -> dict[str, Any]:
    """Scores of the samples of every case, and a tally of what was first drawn.

    Args:
        cases: The molecules.
        samples: What a user gets, for each case with a target.
        draws: First draws, unchecked, likewise; those that are missing count as failures.
        cost: Time of the samples.
        options: How they were sampled; None for RDKit.
        processes: Processes that score.
        on_progress: Called with a phase, how much of it is done, and its total.
    """
    with workers(processes) as each:
        scores = list(counted(each(score, samples), "scoring", len(samples), on_progress))
        tallies = list(counted(each(tally_sampled, draws), "checking first draws", len(draws), on_progress))
    lost = [
        Tally(asked=2 * case.references, faults={case.failure or "unknown": 2 * case.references})
        for case in cases
        if not case.target
    ]
    return plain(
        {
            "options": None if options is None else asdict(options),
            "seconds": cost.wall_s,
            "cpu_seconds": cost.cpu_s,
            "first_draw": asdict(sum([*tallies, *lost], Tally())),
            "molecules": [asdict(one) for one in with_failures(cases, scores)],
        }
    )


def _lowest(target: Target, tries: int) -> Sampled:
    """What paths from the lowest of several relaxed guesses begin at."""
    if not has_parameters(target.molecule.mol):
        return Sampled(target, target.references[:0], "no_mmff_parameters")
    seeds = [target.seed + k for k in range(target.requested)]
    made = [x for x in make_guesses(target.molecule, seeds, Recipe(True, tries)) if x is not None]
    x = np.array(made).reshape(-1, target.molecule.num_atoms, 3)
    return Sampled(target, x, None if made else "embedding_failed")


def _timed(clocks: Clocks, work: Callable[[], T]) -> tuple[T, Cost]:
    wall, cpu = clocks.wall(), clocks.cpu()
    result = work()
    return result, Cost(clocks.wall() - wall, clocks.cpu() - cpu)
