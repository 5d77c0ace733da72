"""The experiment on symmetry: what one run yields, and what all of them say together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from models.evaluation.case import Case
from models.experiments.arms import Arm
from models.experiments.curvature import FORMS, GROUPS
from models.experiments.denoising import TIMES, Pairs, measure_errors, weighted
from models.experiments.ensembles import Quantities, measure_ensembles
from models.experiments.tables import CELLS, differences, table
from models.options import SampleOptions
from models.weights import Model

KINDS = {"quotient": "Horizontal", "plain": "Euclidean", "aligned": "Superposed"}
PAIRS = {"own": "own pairs", "free": "uncoupled pairs"}
WEIGHTED = "all, weighted"
BASE, LAST_STEP = "plain", ("quotient+kabsch", "quotient+kabsch+automorphisms")
RULES = (
    "All arms share the network, the data and their order, the initial weights, the noise of each seed, the Gaussian "
    "prior, the threads and the time of training, which counts optimiser steps alone.  They take turns, so that other "
    "work on the machine is shared out evenly.",
    "Nothing here is a test set: the molecules are held out of the training set, or given as references, and no "
    "molecule like them in all but stereo is trained on.",
    "Own pairs: noise and structure as the arm pairs them in training.  Uncoupled pairs: the same inputs for all arms, "
    "which those with a coupling never saw in training.",
    "Error: mean square of a coordinate of the guess, Å^2, at fixed times t; weighted: mean over the times with the "
    "weight 1/(1-t)^2 of training.  Horizontal: only what changes the shape at x_t.  Superposed: after the best rigid "
    "superposition of structure and guess.",
    "COV, AMR: heavy-atom RMSD, as in `shapespace evaluate`; R over references, P over samples, every sample of the "
    "first draw, valid or not.  With one reference, AMR-R is the distance of the best sample.",
    CELLS,
)


@dataclass(frozen=True)
class Run:
    """One arm with one seed, measured.

    Attributes:
        arm: Name of the arm.
        seed: Seed of the training.
        progress: Steps, seconds and conformers of the training.
        own: Errors on own pairs for each kind of loss.
        free: Errors on uncoupled pairs.
        ensembles: Distances, coverage and validity.
        curve: Weighted horizontal errors after each turn.
    """

    arm: str
    seed: int
    progress: dict[str, float]
    own: dict[str, Quantities]
    free: dict[str, Quantities]
    ensembles: Quantities
    curve: list[dict[str, float]] = field(default_factory=list)


def measure_turn(model: Model, arm: Arm, pairs: dict[str, list[Pairs]], molecules: int) -> dict[str, float]:
    """Weighted horizontal errors, own and uncoupled, of a run on its way."""
    errors = {word: measure_errors(model, pairs[word], molecules)["quotient"] for word in {arm.pairs, "none"}}
    return {name: float(weighted(errors[word]).mean()) for name, word in (("own", arm.pairs), ("free", "none"))}


def measure_run(
    model: Model,
    arm: Arm,
    pairs: dict[str, list[Pairs]],
    molecules: int,
    cases: Sequence[Case],
    steps: int,
    clock: Callable[[], float],
) -> dict[str, Any]:
    """Errors and ensembles of a finished run, named as in `Run`.

    Args:
        model: The run's averaged weights.
        arm: What it is.
        pairs: Held-out pairs for each way to pair them.
        molecules: Molecules that the pairs belong to.
        cases: Molecules to sample.
        steps: Sampler steps.
        clock: Monotonic seconds.
    """
    errors = {word: measure_errors(model, pairs[word], molecules) for word in {arm.pairs, "none"}}
    options = SampleOptions("ode", steps=steps, quotient=arm.quotient)
    return {
        "own": {kind: _columns(values) for kind, values in errors[arm.pairs].items()},
        "free": {kind: _columns(values) for kind, values in errors["none"].items()},
        "ensembles": measure_ensembles(model, cases, options, clock),
    }


def run_table(runs: Sequence[Run], arms: Sequence[Arm]) -> dict[str, Any]:
    """What the arms are and how far they came, in the form of `models.experiments.tables.table`."""
    lines = []
    for arm in arms:
        own = [run.progress for run in runs if run.arm == arm.name]
        steps, seconds, seen = (np.mean([p[key] for p in own]) for key in ("step", "elapsed_s", "conformers"))
        words = (arm.loss, arm.pairs, "quotient" if arm.quotient else "plain")
        lines.append(
            [arm.name, *words, f"{seconds:.0f}", f"{steps:.0f}", f"{seen:.0f}", f"{1e3 * seconds / steps:.1f}"]
        )
    titles = ["arm", "loss", "pairs", "sampler", "s", "steps", "conformers", "ms per step"]
    return {"title": "Runs", "titles": titles, "lines": lines}


def build_tables(runs: Sequence[Run], arms: Sequence[Arm]) -> list[dict[str, Any]]:
    """Tables of errors and ensembles, and of differences from the plain arm."""

    def each(choose: Callable[[Run], Quantities]) -> dict[str, list[Quantities]]:
        return {arm.name: [choose(run) for run in runs if run.arm == arm.name] for arm in arms}

    tables = []
    for word, pairs in PAIRS.items():
        for kind, name in KINDS.items():
            tables.append(table(f"{name} error, {pairs}, Å²", each(partial(_errors, word, kind))))
    tables.append(table("Ensembles", each(lambda run: run.ensembles)))

    def headline(run: Run) -> Quantities:
        errors = {f"error, {pairs}": _errors(word, "quotient", run)[WEIGHTED] for word, pairs in PAIRS.items()}
        return {**errors, **run.ensembles}

    whole = each(headline)
    note = (
        "Same seed, same molecules.  Error: horizontal, weighted, Å².  An interval without zero is a difference that "
        "other molecules would show too; other seeds may not."
    )
    if BASE in whole and len(whole) > 1:
        tables.append(table(f"Difference from {BASE}", differences(whole, BASE), note))
    if set(LAST_STEP) <= set(whole):
        last = {name: whole[name] for name in LAST_STEP}
        tables.append(table(f"Difference from {LAST_STEP[0]}", differences(last, LAST_STEP[0]), note))
    return tables


def curvature_tables(forms: dict[str, list[Quantities]], atoms: Sequence[int]) -> list[dict[str, Any]]:
    """Tables of the SDE with and without the curvature drift, over all sizes and by size.

    Args:
        forms: Quantities of each of `FORMS`, for each seed.
        atoms: Atoms of each molecule.
    """
    note = (
        "The uncoupled quotient arm, sampled without redraws.  Rg: radius of gyration, all atoms.  Mean square radius "
        "on the way over that of the interpolant: 1 for an exact sampler at noise 1; less noise is a lower temperature."
    )
    tables = [table("Curvature drift, all sizes", forms, note)]
    groups = {
        f"{low} to {high} atoms": [row for row, count in enumerate(atoms) if low <= count <= high]
        for low, high in GROUPS
    }
    groups = {words: rows for words, rows in groups.items() if rows}
    tables += [
        table(f"Curvature drift, {words}", forms, f"{len(rows)} molecules.", rows) for words, rows in groups.items()
    ]
    names = list(FORMS)
    for kept, dropped in (names[:2], names[2:4]):
        change = differences({name: forms[name] for name in (kept, dropped)}, dropped)[kept]
        by_size = {words: [_part(seed, rows) for seed in change] for words, rows in groups.items()}
        tables.append(table(f"{kept} less without", {"all": change, **by_size}, "Same seed, molecule and noise."))
    return tables


def _columns(errors: np.ndarray) -> Quantities:
    """[T, M]"""
    named = {f"t = {time:g}": errors[row].tolist() for row, time in enumerate(TIMES)}
    return {**named, WEIGHTED: weighted(errors).tolist()}


def _errors(pairs: str, kind: str, run: Run) -> Quantities:
    return {"own": run.own, "free": run.free}[pairs][kind]


def _part(quantities: Quantities, rows: Sequence[int]) -> Quantities:
    return {name: [values[row] for row in rows] for name, values in quantities.items()}
