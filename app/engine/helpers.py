"""Threads beside the worker: guesses are made and structures are checked while the device works on other rows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

import numpy as np

from app.engine.work import Row, Work
from models.draws import Draw, Draws, Path
from models.paths import recipe_of

_CALLS = {
    True: 16,
    False: 4,
}  # of guessers at once, for brief and for bulk work; most of the time they wait for children
_CHECKED_AT_ONCE = 16  # structures; then it is the turn of another ticket
Guesses = Sequence[np.ndarray | None]
Verdicts = tuple[list[Row], Sequence[Path], list[str | None]]
Unchecked = tuple[list[Row], list[np.ndarray]]


class _UnwantedError(Exception):
    """Leaves a guesser when nobody wants its guesses any more."""


class Helpers:
    """Makes guesses and verdicts.

    Args:
        on_guesses: Gets work, book, draws and guesses, from another thread.
        on_verdicts: Gets rows of one molecule, what was made of them and its faults, from another thread.
        on_error: Gets work and error, from another thread.
    """

    def __init__(
        self,
        on_guesses: Callable[[Work, Draws, list[Draw], Guesses], None],
        on_verdicts: Callable[[Verdicts], None],
        on_error: Callable[[Work, Exception], None],
    ) -> None:
        self._on_guesses, self._on_verdicts, self._on_error = on_guesses, on_verdicts, on_error
        self._calls = dict.fromkeys(_CALLS, 0)
        self._closed = False
        self._guessers = ThreadPoolExecutor(sum(_CALLS.values()), "guess")
        # each sort has its own, so that the check of a brief request does not wait for those of a large batch
        self._checkers = {brief: ThreadPoolExecutor(1, "check") for brief in (True, False)}
        self._unchecked: dict[bool, dict[Work, deque[Unchecked]]] = {brief: {} for brief in (True, False)}
        self._turns = Lock()  # of the line above

    def free(self, brief: bool) -> bool:
        """Whether another call of a guesser could begin at once."""
        return self._calls[brief] < _CALLS[brief]

    def guess(self, work: Work, book: Draws, draws: list[Draw]) -> None:
        """Make guesses of one molecule."""
        self._calls[work.small] += 1
        self._guessers.submit(self._guess, work, book, draws)

    def guessed(self, work: Work) -> None:
        """To be called by the worker for each answer to `guess`, since only it counts them."""
        self._calls[work.small] -= 1

    def check(self, rows: list[Row], structures: list[np.ndarray]) -> None:
        """Check structures of one molecule; tickets take turns, a few structures each."""
        work, brief = rows[0].work, rows[0].work.brief
        for at in range(0, len(rows), _CHECKED_AT_ONCE):
            part = slice(at, at + _CHECKED_AT_ONCE)
            with self._turns:
                self._unchecked[brief].setdefault(work, deque()).append((rows[part], structures[part]))
            self._checkers[brief].submit(self._check_next, brief)

    def close(self) -> None:
        """Drop what has not begun, and end what has."""
        self._closed = True
        for pool in (self._guessers, *self._checkers.values()):
            pool.shutdown(wait=False, cancel_futures=True)

    def _guess(self, work: Work, book: Draws, draws: list[Draw]) -> None:
        def check_stop() -> None:
            if self._closed or work.ended:
                raise _UnwantedError

        try:
            check_stop()
            asked = [draw for draw in draws if draw.guess]
            found: dict[Draw, np.ndarray | None] = {}
            if asked:
                seeds = [[draw.seed for draw in asked]]
                (made,) = work.guesser([book.subject], seeds, check_stop, recipe_of(work.ticket.options))
                found = dict(zip(asked, made, strict=True))
            guesses: Guesses = [found.get(draw) for draw in draws]
        except _UnwantedError:
            guesses = [None] * len(draws)  # nobody will look at them
        except Exception as error:
            guesses = [None] * len(draws)
            self._on_error(work, error)
        self._on_guesses(work, book, draws, guesses)

    def _check_next(self, brief: bool) -> None:
        """Check some structures of the ticket whose turn it is; nothing of one that has ended."""
        with self._turns:
            work = next(iter(self._unchecked[brief]))
            waiting = self._unchecked[brief].pop(work)
            rows, structures = waiting.popleft()
            if waiting:
                self._unchecked[brief][work] = waiting  # behind the others
        if self._closed or work.ended:
            return
        try:
            book = rows[0].book
            paths = book.polish([Path(x, row.origin.as_asked) for row, x in zip(rows, structures, strict=True)])
            self._on_verdicts((rows, paths, book.check(paths)))
        except Exception as error:
            self._on_error(rows[0].work, error)
