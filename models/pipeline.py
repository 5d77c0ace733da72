"""Molecules in, verified ensembles out: one call without a server, shared by tests and command line."""

from collections.abc import Callable, Sequence

import numpy as np

from models.data.batch import split_by_size
from models.data.guess import Guesser, guess_all
from models.draws import Draw, Draws, Path, rows_of
from models.options import SampleOptions
from models.paths import run_paths
from models.structure import Ensemble, Molecule
from models.weights import Model

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
    books = [
        Draws(molecule, count, seed, options.rounds, m)
        for m, (molecule, count, seed) in enumerate(zip(molecules, counts, seeds, strict=True))
    ]

    def check_stop() -> None:
        if should_stop():
            raise _StoppedError

    try:
        while due := [draw for book in books for draw in book.take(book.due)]:
            for rows in split_by_size([molecules[d.molecule].num_atoms for d in due], PAIR_BUDGET):
                batch = [due[row] for row in rows]
                paths = run_paths(model, molecules, batch, options, guesser, check_stop)
                on_done(_settle(books, batch, paths, on_structure))
    except _StoppedError:
        pass  # each book knows what is missing
    return [book.ensemble() for book in books]


def _settle(
    books: Sequence[Draws],
    batch: Sequence[Draw],
    paths: Sequence[Path],
    on_structure: Callable[[Draw, np.ndarray, str | None], None],
) -> int:
    """Check a batch, tell of every structure, and enter all in the books; how many conformers got their verdict."""
    settled, faults = 0, dict[int, str | None]()
    for m, rows in rows_of(batch).items():
        own = [paths[row] for row in rows]
        found = books[m].check(own)
        settled += books[m].settle([batch[row] for row in rows], own, found)
        faults |= zip(rows, found, strict=True)
    for row, (draw, path) in enumerate(zip(batch, paths, strict=True)):
        on_structure(draw, path.x, faults[row])
    return settled
