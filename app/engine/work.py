"""A ticket inside the engine: the draws of its molecules, which of them could begin, and its virtual time."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from time import monotonic

import numpy as np

from app.engine.capacity import Capacity
from app.engine.packing import Flow, size_of
from app.engine.ticket import MAIN, Ticket
from models.books import open_book
from models.data.guess import Guesser
from models.draws import Draw, Draws
from models.options import SampleOptions
from models.paths import Origin, begin_at
from models.structure import Ensemble

GUESSED_AHEAD = 128  # guesses of one ticket that wait for a place
_OUTGROWN = 2.0  # times the device time of brief work, counted with what is drawn again
_MAX_STRIKES = 2  # a molecule that was on the device at so many breakdowns is given up


@dataclass(frozen=True)
class Kind:
    """What rows of one batch have in common.

    Attributes:
        brief: Whether they are of brief tickets.
        size: From `size_of`.
        options: From `SampleOptions.shared`.
        model: Name of the model.
    """

    brief: bool
    size: int
    options: SampleOptions
    model: str = MAIN


@dataclass(frozen=True, eq=False)
class Row:
    """One draw on its way.

    Attributes:
        work: Whose.
        book: Of its molecule.
        draw: The draw.
        origin: Where its path begins.
    """

    work: Work
    book: Draws
    draw: Draw
    origin: Origin

    @property
    def gone(self) -> bool:
        """Whether nobody wants it any more."""
        return self.work.ended or not self.book.open

    @property
    def cost_s(self) -> float:
        """Device time, s."""
        steps = self.work.ticket.options.steps
        return self.work.cost_s[size_of(self.book.subject.features.num_tokens)] * self.origin.options.steps / steps


class Work:
    """What is left to do of a ticket.

    Args:
        ticket: The ticket.
        capacity: Of its model; tells whether it is brief.
        guesser: Makes what makes its guesses; told whether it is brief.
    """

    def __init__(self, ticket: Ticket, capacity: Capacity, guesser: Callable[[bool], Guesser]) -> None:
        self.ticket = ticket
        self.ended = False
        self.tag_s = 0.0
        self.guessing = 0  # draws whose guesses are being made
        options = ticket.options
        self.books = [
            open_book(molecule, count, seed, options.rounds, place)
            for place, (molecule, count, seed) in enumerate(
                zip(ticket.molecules, ticket.counts, ticket.seeds, strict=True)
            )
        ]
        sizes = [size_of(molecule.features.num_tokens) for molecule in ticket.molecules]
        self.cost_s = {size: capacity.draw_s(size, options) for size in set(sizes)}
        self.small = ticket.priority >= 0 and self._sum(sizes, ticket.counts) <= capacity.brief_s
        self.brief = self.small  # until it turns out otherwise
        self._brief_s, self._used_s = capacity.brief_s, 0.0
        self.guesser = guesser(self.small)
        self._kind_of = [Kind(self.brief, size, options.shared, ticket.model) for size in sizes]
        self._books: dict[Kind, list[Draws]] = {}
        for kind, book in zip(self._kind_of, self.books, strict=True):
            self._books.setdefault(kind, []).append(book)
        self._guessed: dict[Kind, deque[Row]] = {kind: deque() for kind in self._books}
        self.weight = Flow(0, 0.0, 0.0, ticket.priority).weight
        self._told = [False] * len(self.books)
        self._strikes: Counter[int] = Counter()

    @property
    def kinds(self) -> list[Kind]:
        """Kinds of batches that its rows go to."""
        return list(self._books)

    @cached_property
    def warm(self) -> bool:
        """Whether its paths begin at guesses."""
        return self.ticket.options.guessed

    @property
    def complete(self) -> bool:
        """Whether every conformer has its verdict."""
        return not any(book.open for book in self.books)

    @property
    def due(self) -> int:
        """Draws that are not on the device and not being checked."""
        return sum(book.due for book in self.books) + self.guessing + sum(map(len, self._guessed.values()))

    @property
    def left_s(self) -> float:
        """Device time of the conformers that have no verdict yet, if each is good at once, s."""
        return self._sum([kind.size for kind in self._kind_of], [book.open for book in self.books])

    def waiting(self, kind: Kind) -> int:
        """Draws that could begin now in a batch of this kind."""
        return len(self._guessed[kind]) if self.warm else sum(book.due for book in self._books[kind])

    def flow(self, kind: Kind) -> Flow:
        """The same for packing."""
        return Flow(self.waiting(kind), self.cost_s[kind.size], self.tag_s, self.ticket.priority)

    def begin(self) -> bool:
        """Called before anything is done for it; false when the caller has gone."""
        if self.ticket.started is None and self.ticket.claim():
            self.ticket.started = monotonic()
        return self.ticket.started is not None

    def take(self, kind: Kind, most: int) -> list[Row]:
        """Rows that begin now."""
        rows: list[Row] = []
        if self.warm:
            ready = self._guessed[kind]
            rows = [ready.popleft() for _ in range(min(most, len(ready)))]
        else:
            for book in self._books[kind]:
                if len(rows) == most:
                    break
                rows += [self._row(book, draw) for draw in book.take(most - len(rows))]
        if not self.due:
            self.ticket.waiting = False
        return rows

    def take_unguessed(self, most: int) -> tuple[Draws, list[Draw]] | None:
        """Draws of one molecule whose guesses are to be made next."""
        if self.guessing + sum(map(len, self._guessed.values())) >= GUESSED_AHEAD:
            return None
        for book in self.books:
            if draws := book.take(most):
                self.guessing += len(draws)
                return book, draws
        return None

    def add_guesses(self, book: Draws, draws: Sequence[Draw], guesses: Sequence[np.ndarray | None]) -> None:
        """Take in guesses that were made; draws without one begin at noise."""
        self.guessing -= len(draws)
        rows = [self._row(book, draw, guess) for draw, guess in zip(draws, guesses, strict=True)]
        self._used_s += sum(row.cost_s for row in rows)
        self._guessed[self._kind_of[book.place]] += rows

    @property
    def outgrown(self) -> bool:
        """Whether it is brief no longer: its draws begin at noise for want of guesses, or are made again and again."""
        return self.brief and self._used_s > _OUTGROWN * self._brief_s

    def become_bulk(self) -> None:
        """Its draws that wait go to other batches from now on, and compete there from the time of the moment."""
        self.brief, self.tag_s = False, 0.0
        self._kind_of = [replace(kind, brief=False) for kind in self._kind_of]
        self._books = {replace(kind, brief=False): books for kind, books in self._books.items()}
        self._guessed = {replace(kind, brief=False): rows for kind, rows in self._guessed.items()}

    def recall(self) -> None:
        """Everything that is not yet settled can begin again: the device, or what was beside it, is lost."""
        self.guessing = 0
        for rows in self._guessed.values():
            rows.clear()
        for book in self.books:
            book.recall()

    def strike(self, books: set[int]) -> None:
        """The device broke down while it worked on these molecules, by place."""
        self._strikes.update(books)
        for place in books:
            if self._strikes[place] >= _MAX_STRIKES:
                self.books[place].abandon("sampler_lost")

    def newly_complete(self) -> list[tuple[int, Ensemble]]:
        """Molecules whose last verdict has come since this was asked before."""
        new = [k for k, book in enumerate(self.books) if not book.open and not self._told[k]]
        for k in new:
            self._told[k] = True
        return [(k, self.books[k].ensemble()) for k in new]

    def ensembles(self) -> list[Ensemble]:
        """What there is by now."""
        return [book.ensemble() for book in self.books]

    def _row(self, book: Draws, draw: Draw, guess: np.ndarray | None = None) -> Row:
        return Row(self, book, draw, begin_at(book.subject, draw.seed, self.ticket.options, guess))

    def _sum(self, sizes: Sequence[int], counts: Sequence[int]) -> float:
        return sum(count * self.cost_s[size] for size, count in zip(sizes, counts, strict=True))
