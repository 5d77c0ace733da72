import threading
from dataclasses import replace
from queue import Queue

import pytest

from app.engine.capacity import Capacity
from app.engine.helpers import Helpers
from app.engine.work import Work
from models.data.guess import guess_all, make_guesses
from models.paths import recipe_of

PATIENCE_S = 300  # for machines with other work
COSTS = Capacity(1e-3, 1e-5, 0.0, 10**6)
WARM = {"start": "mmff94s", "start_time": 0.9, "tries": 2}


@pytest.fixture
def answers():
    """What the helpers said: guesses, verdicts, errors."""
    return Queue(), Queue(), Queue()


@pytest.fixture
def helpers(answers):
    guesses, verdicts, errors = answers
    helpers = Helpers(lambda *a: guesses.put(a), verdicts.put, lambda *a: errors.put(a))
    yield helpers
    helpers.close()


def test_guesses_are_those_of_the_recipe(helpers, answers, ticket):
    work = Work(ticket("OCCN", count=2, seed=5, **WARM), COSTS, lambda brief: guess_all)
    book, draws = work.take_unguessed(2)
    helpers.guess(work, book, draws)
    answer = answers[0].get(timeout=PATIENCE_S)
    assert answer[:3] == (work, book, draws)
    expected = make_guesses(book.subject, [5, 6], recipe_of(work.ticket.options))
    assert all((made == own).all() for made, own in zip(answer[3], expected, strict=True))


def test_guesses_are_asked_for_only_where_they_are_worth_it(helpers, answers, ticket):
    asked = []

    def guesser(molecules, seeds, check_stop, recipe):
        asked.append(seeds)
        return [["guess"] * len(own) for own in seeds]

    work = Work(ticket("OCCN", count=3, seed=5, **WARM), COSTS, lambda brief: guesser)
    book, draws = work.take_unguessed(3)
    later = [draws[0], replace(draws[1], guess=False), draws[2]]
    helpers.guess(work, book, later)
    helpers.guess(work, book, later[1:2])
    found = [answers[0].get(timeout=PATIENCE_S)[3] for _ in range(2)]
    assert sorted(found, key=len) == [[None], ["guess", None, "guess"]]
    assert asked == [[[5, 7]]]


def test_structures_are_checked_elsewhere(helpers, answers, network, ticket):
    work = Work(ticket("CCO", count=2), COSTS, lambda brief: guess_all)
    rows = work.take(work.kinds[0], 2)
    good = next(iter(network.known.values()))
    helpers.check(rows, [good, 2 * good])
    _, paths, faults = answers[1].get(timeout=PATIENCE_S)
    assert faults == [None, "broken_bond"]
    assert [path.as_asked for path in paths] == [True, True]


def test_errors_are_told_with_the_work(helpers, answers, ticket):
    def broken(*_):
        raise RuntimeError("no children")

    work = Work(ticket("CCO", start="etkdg", start_time=0.5), COSTS, lambda brief: broken)
    book, draws = work.take_unguessed(1)
    helpers.guess(work, book, draws)
    whose, error = answers[2].get(timeout=PATIENCE_S)
    assert (whose, str(error)) == (work, "no children")
    assert answers[0].get(timeout=PATIENCE_S)[3] == [None]


def test_only_so_many_guessers_are_called_at_once(helpers, answers, ticket):
    free = threading.Event()

    def guesser(molecules, seeds, check_stop, recipe):
        assert free.wait(PATIENCE_S)
        return [[None] for _ in molecules]

    work = Work(ticket("CCO", count=100, start="etkdg", start_time=0.5), COSTS, lambda brief: guesser)
    calls = 0
    while helpers.free(work.brief):
        helpers.guess(work, *work.take_unguessed(1))
        calls += 1
    free.set()
    for _ in range(calls):
        answers[0].get(timeout=PATIENCE_S)
        helpers.guessed(work)
    assert helpers.free(work.brief)


def test_guesses_of_brief_work_do_not_wait_for_those_of_bulk_work(helpers, answers, ticket):
    free = threading.Event()

    def held(molecules, seeds, check_stop, recipe):
        assert free.wait(PATIENCE_S)
        return [[None] for _ in molecules]

    bulk = Work(ticket("CCO", count=100, priority=-1, **WARM), COSTS, lambda brief: held)
    brief = Work(ticket("CCO", **WARM), COSTS, lambda brief: guess_all)
    while helpers.free(bulk.brief):
        helpers.guess(bulk, *bulk.take_unguessed(1))
    assert helpers.free(brief.brief)
    helpers.guess(brief, *brief.take_unguessed(1))
    assert answers[0].get(timeout=PATIENCE_S)[0] is brief
    free.set()


def test_closing_ends_the_guesses_that_are_made(helpers, answers, ticket):
    begun = threading.Event()

    def guesser(molecules, seeds, check_stop, recipe):
        while True:
            begun.set()
            check_stop()

    work = Work(ticket("CCO", start="etkdg", start_time=0.5), COSTS, lambda brief: guesser)
    helpers.guess(work, *work.take_unguessed(1))
    assert begun.wait(PATIENCE_S)
    helpers.close()
    assert answers[0].get(timeout=PATIENCE_S)[3] == [None]
    assert answers[2].empty()


def test_tickets_take_turns_at_the_checker(helpers, answers, network, ticket):
    begun, free = threading.Event(), threading.Event()
    large = Work(ticket("CCO", count=100), COSTS, lambda brief: guess_all)
    small = Work(ticket("CCO", count=1), COSTS, lambda brief: guess_all)
    good = next(iter(network.known.values()))
    rows = large.take(large.kinds[0], 100)
    check = rows[0].book.check

    def hold(paths):
        begun.set()
        assert free.wait(PATIENCE_S)
        return check(paths)

    rows[0].book.check = hold
    helpers.check(rows, [good] * 100)
    assert begun.wait(PATIENCE_S)
    helpers.check(small.take(small.kinds[0], 1), [good])
    free.set()
    order = [answers[1].get(timeout=PATIENCE_S)[0] for _ in range(8)]
    assert [own[0].work for own in order].index(small) <= 2
    assert sum(len(own) for own in order) == 101


def test_nothing_is_checked_of_what_has_ended(helpers, answers, network, ticket):
    gone, wanted = (Work(ticket("CCO", count=1), COSTS, lambda brief: guess_all) for _ in range(2))
    good = next(iter(network.known.values()))
    gone.ended = True
    for work in (gone, wanted):
        helpers.check(work.take(work.kinds[0], 1), [good])
    rows, _, faults = answers[1].get(timeout=PATIENCE_S)
    assert (rows[0].work, faults) == (wanted, [None])
    assert answers[1].empty()
