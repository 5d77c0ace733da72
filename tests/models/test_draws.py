import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.conformer_draws import ConformerDraws
from models.draws import HOPELESS_AFTER, MAX_SEED, RETRY_STRIDE, Draw, Path, rows_of, spread_seeds

RAW = Path(np.zeros((9, 3)), as_asked=True)


@pytest.fixture(scope="module")
def molecule(molecule_of):
    return molecule_of("CCO")


def by_rounds(count, rounds, bad):
    """Every draw that is made when rounds follow each other, and which conformers are good."""
    made, good = [], set()
    for attempt in range(rounds):
        if len(made) >= HOPELESS_AFTER and not good:
            break
        now = [(k, attempt) for k in range(count) if k not in good]
        made += now
        good |= {k for k, a in now if (k, a) not in bad}
    return made, good


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 30), st.integers(1, 5), st.floats(0.5, 1.0), st.integers(0, 999), st.integers(1, 9))
def test_draws_that_are_made_do_not_depend_on_the_order_in_which_they_come_back(
    molecule, count, rounds, failing, chance, most
):
    """In any order, a few at a time, the same are made as when all draws of a round come before the next."""
    luck = random.Random(chance)
    bad = {(k, a) for k in range(count) for a in range(rounds) if luck.random() < failing}
    expected, good = by_rounds(count, rounds, bad)
    book, out, made, settled = ConformerDraws(molecule, count, 0, rounds), [], [], 0
    while book.due or out:
        out += book.take(luck.randint(0 if out else 1, most))
        if not out:
            continue
        if luck.random() < 0.05:
            book.recall()  # as after a failure of the device
            out.clear()
            continue
        draw = out.pop(luck.randrange(len(out)))
        made.append((draw.index, draw.attempt))
        fault = "clash" if made[-1] in bad else None
        settled += book.settle([draw], [RAW], [fault])
    ensemble = book.ensemble()
    assert sorted(made) == sorted(expected)
    assert {c.index for c in ensemble.conformers} == good
    assert settled == count
    assert book.open == 0
    assert ensemble.attempts == len(expected)
    assert ensemble.first_pass == sum((k, 0) not in bad for k in range(count))
    assert [(p.reason, p.count) for p in ensemble.problems] == [("clash", count - len(good))] * (count > len(good))


def test_draws_carry_place_and_seed(molecule):
    book = ConformerDraws(molecule, 3, MAX_SEED - 1, 2, place=4)
    first = book.take(2)
    assert first == [Draw(4, 0, MAX_SEED - 1, 0), Draw(4, 1, MAX_SEED, 0)]
    assert book.due == 1
    book.settle(first[:1], [RAW], ["clash"])
    assert book.take(9) == [Draw(4, 0, (MAX_SEED - 1 + RETRY_STRIDE) % (MAX_SEED + 1), 1), Draw(4, 2, 0, 0)]


def test_draws_that_are_recalled_come_first_and_in_their_order(molecule):
    book = ConformerDraws(molecule, 5, 0, 2)
    taken = book.take(3)
    book.settle(taken[:1], [RAW], [None])
    book.recall()
    assert [draw.index for draw in book.take(9)] == [1, 2, 3, 4]


def test_book_checks_structures(molecule, structure_of):
    book, good = ConformerDraws(molecule, 1, 0, 1), structure_of(molecule)
    paths = [Path(x, True) for x in (good, 2 * good, good * np.nan)]
    assert book.check(paths) == [None, "broken_bond", "not_finite"]
    assert book.attempts == 0


def test_conformer_without_a_guess_is_not_given_another_try_for_it(molecule):
    book = ConformerDraws(molecule, 2, 0, 3)
    first, second = book.take(2)
    assert (first.guess, second.guess) == (True, True)
    book.settle([first, second], [Path(RAW.x, as_asked=False), RAW], ["clash", "clash"])
    assert [(draw.index, draw.attempt, draw.guess) for draw in book.take(9)] == [(0, 1, False), (1, 1, True)]
    book.recall()
    assert [(draw.index, draw.guess) for draw in book.take(9)] == [(0, False), (1, True)]


def test_note_counts_good_conformers_that_did_not_begin_as_asked(molecule):
    book = ConformerDraws(molecule, 4, 0, 1)
    elsewhere = Path(RAW.x, as_asked=False)
    draws = book.take(4)
    book.settle(draws[:2], [RAW, elsewhere], [None, "clash"])
    assert book.ensemble().molecule is molecule
    book.settle(draws[2:], [elsewhere] * 2, [None, None])
    (note,) = book.ensemble().molecule.notes
    assert note == "conformers sampled from noise, since ETKDG could not embed the molecule: 2"


def test_what_has_no_verdict_is_stopped(molecule):
    book = ConformerDraws(molecule, 3, 0, 1)
    draws = book.take(2)
    book.settle(draws, [RAW] * 2, [None, "clash"])
    ensemble = book.ensemble()
    assert [c.index for c in ensemble.conformers] == [0]
    assert {(p.reason, p.count) for p in ensemble.problems} == {("clash", 1), ("stopped", 1)}


def test_abandoned_molecule_takes_nothing_more(molecule):
    book = ConformerDraws(molecule, 4, 0, 3)
    draws = book.take(3)
    book.settle(draws[:1], [RAW], [None])
    assert book.abandon("out_of_memory") == 3
    book.recall()
    assert book.settle(draws[2:], [RAW], [None]) == 0
    assert (book.due, book.open, book.attempts) == (0, 0, 1)
    (problem,) = book.ensemble().problems
    assert (problem.reason, problem.count) == ("out_of_memory", 3)
    assert "memory" in problem.detail


def test_rows_are_told_by_molecule():
    assert rows_of([Draw(m, 0, 0, 0) for m in (2, 0, 2)]) == {2: [0, 2], 0: [1]}


def test_subject_that_is_there_again_goes_on_where_it_left_off():
    assert spread_seeds([64, 100, 64, 64], 5, 4) == [5, 5, 9, 13]
    assert spread_seeds([], 5, 4) == []
    assert spread_seeds([64, 64], MAX_SEED - 1, 4) == [MAX_SEED - 1, 2]  # past the largest seed it begins at 0


@given(st.lists(st.integers(0, 3), max_size=8), st.integers(0, MAX_SEED), st.integers(1, 5))
def test_no_subject_gets_a_seed_twice(subjects, seed, count):
    first = spread_seeds(subjects, seed, count)
    drawn = [(s, (at + k) % (MAX_SEED + 1)) for s, at in zip(subjects, first, strict=True) for k in range(count)]
    assert len(set(drawn)) == len(drawn)
