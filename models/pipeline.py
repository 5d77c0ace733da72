"""Molecules or blueprints in, verified ensembles out: one call without a server, shared by tests and command line."""

from collections.abc import Callable, Sequence
from typing import Any, overload

import numpy as np

from models.backbone import BackboneEnsemble
from models.blueprint import Blueprint
from models.books import open_book
from models.data.batch import split_by_size
from models.data.guess import Guesser, guess_all
from models.draws import Draw, Draws, Path, rows_of
from models.options import SampleOptions
from models.paths import run_paths
from models.structure import Ensemble, Molecule, Subject
from models.weights import Model

PAIR_BUDGET = 64 * 48**2  # padded pairs in one batch: bounds memory, and matrices are then large enough to be fast


class _StoppedError(Exception):
    """Leaves the sampler's loop when the caller no longer wants the result."""


@overload
def generate(
    model: Model,
    subjects: Sequence[Molecule],
    counts: Sequence[int],
    seeds: Sequence[int],
    options: SampleOptions,
    should_stop: Callable[[], bool] = ...,
    on_done: Callable[[int], None] = ...,
    on_structure: Callable[[Draw, np.ndarray, str | None], None] = ...,
    guesser: Guesser = ...,
) -> list[Ensemble]: ...


@overload
def generate(
    model: Model,
    subjects: Sequence[Blueprint],
    counts: Sequence[int],
    seeds: Sequence[int],
    options: SampleOptions,
    should_stop: Callable[[], bool] = ...,
    on_done: Callable[[int], None] = ...,
    on_structure: Callable[[Draw, np.ndarray, str | None], None] = ...,
) -> list[BackboneEnsemble]: ...


@overload
def generate(
    model: Model,
    subjects: Sequence[Subject],
    counts: Sequence[int],
    seeds: Sequence[int],
    options: SampleOptions,
) -> Sequence[Ensemble] | Sequence[BackboneEnsemble]: ...


def generate(
    model: Model,
    subjects: Sequence[Subject],
    counts: Sequence[int],
    seeds: Sequence[int],
    options: SampleOptions,
    should_stop: Callable[[], bool] = lambda: False,
    on_done: Callable[[int], None] = lambda count: None,
    on_structure: Callable[[Draw, np.ndarray, str | None], None] = lambda draw, x, fault: None,
    guesser: Guesser = guess_all,
) -> Sequence[Ensemble] | Sequence[BackboneEnsemble]:
    """Sample verified structures of several molecules, or of several backbones, in shared batches.

    Structure k of seed s is structure 0 of seed s + k, so any of them can be made again alone; one that is drawn again
    after a failed check takes a seed from a later stride.  No result depends on the other subjects.

    Args:
        model: The trained model.
        subjects: What to sample: molecules, or blueprints of backbones, as the model was trained for.
        counts: Structures of each.
        seeds: First seed of each.
        options: How to sample.
        should_stop: Asked after each sampler step and while guesses are made; true ends the work, and what is missing
            is reported as `stopped`.
        on_done: Called with the number of structures that have just been settled, good or given up.
        on_structure: Called with every structure drawn and its fault or None; evaluation counts by it.  Without a guess
            to start from there is no structure, and it gets one of NaN.
        guesser: Makes the guesses of warm starts, those of a batch in one call.

    Returns:
        One ensemble per subject.

    Raises:
        SamplerError: The options do not fit the model.
    """
    model.check_sampler(options.kind)
    books = [
        open_book(subject, count, seed, options.rounds, m)
        for m, (subject, count, seed) in enumerate(zip(subjects, counts, seeds, strict=True))
    ]

    def check_stop() -> None:
        if should_stop():
            raise _StoppedError

    try:
        while due := [draw for book in books for draw in book.take(book.due)]:
            for rows in split_by_size([subjects[d.molecule].features.num_tokens for d in due], PAIR_BUDGET):
                batch = [due[row] for row in rows]
                paths = run_paths(model, subjects, batch, options, guesser, check_stop)
                on_done(_settle(books, batch, paths, on_structure))
    except _StoppedError:
        pass  # each book knows what is missing
    return [book.ensemble() for book in books]


def _settle(
    books: Sequence[Draws[Any, Any]],
    batch: Sequence[Draw],
    paths: Sequence[Path],
    on_structure: Callable[[Draw, np.ndarray, str | None], None],
) -> int:
    """Check a batch, tell of every structure, and enter all in the books; how many structures got their verdict."""
    settled, found = 0, dict[int, tuple[Path, str | None]]()
    for m, rows in rows_of(batch).items():
        own = books[m].polish([paths[row] for row in rows])
        faults = books[m].check(own)
        settled += books[m].settle([batch[row] for row in rows], own, faults)
        found |= zip(rows, zip(own, faults, strict=True), strict=True)
    for row, draw in enumerate(batch):
        path, fault = found[row]
        on_structure(draw, path.x, fault)
    return settled
