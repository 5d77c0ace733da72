import os
import time
from concurrent.futures import Future
from functools import partial

import numpy as np
import pytest

from app.intake.guesser import PoolGuesser
from app.intake.pool import ChildPool
from models.data.guess import RAW, Recipe, embed_guesses, make_guesses
from models.data.molecule import build_molecules, read_smiles

BAD = "CCS"


def molecule_of(smiles):
    (molecule,) = build_molecules(read_smiles(smiles), 0)
    return molecule


def go_on():
    pass


@pytest.fixture(scope="module")
def pool():
    pool = ChildPool(2, 60.0, 3000)
    pool.start()
    yield pool
    pool.close()


@pytest.fixture
def jobs(pool, monkeypatch):
    """What is asked of the children, as (SMILES, seeds)."""
    asked, submit = [], pool.submit

    def remember(job, urgent):
        asked.append((job.molecule.smiles, job.seeds))
        return submit(job, urgent)

    monkeypatch.setattr(pool, "submit", remember)
    return asked


def test_guesses_of_the_children_are_those_of_this_process(pool):
    molecules = [molecule_of(s) for s in ("CCO", "C[C@H](N)C(=O)O", "C/C=C\\CO", "c1ccccc1C[NH3+]")]
    seeds = [[5, 2**52, 6], [1], [2, 3], list(range(9))]
    for molecule, own, found in zip(molecules, seeds, PoolGuesser(pool)(molecules, seeds, go_on), strict=True):
        assert len(found) == len(own)
        assert all(map(np.array_equal, found, embed_guesses(molecule, own)))


def test_recipe_reaches_the_children(pool):
    molecule, recipe = molecule_of("OCCN"), Recipe(relax=True, tries=3)
    (found,) = PoolGuesser(pool)([molecule], [[5, 6]], go_on, recipe)
    assert all(map(np.array_equal, found, make_guesses(molecule, [5, 6], recipe)))


@pytest.mark.parametrize(("count", "sizes"), [(1, [1]), (2, [1, 1]), (3, [2, 1]), (8, [4, 4]), (20, [8, 8, 4])])
def test_seeds_of_a_molecule_are_split_over_the_children(pool, jobs, count, sizes):
    PoolGuesser(pool)([molecule_of("CO")], [range(count)], go_on)
    assert [len(seeds) for _, seeds in jobs] == sizes
    assert [seed for _, seeds in jobs for seed in seeds] == list(range(count))


@pytest.mark.parametrize(
    ("smiles", "recipe", "size"),
    [("CO", RAW, 8), ("C" * 26, RAW, 4), ("C" * 80, RAW, 1), ("CO", Recipe(True, 3), 2), ("CO", Recipe(True, 32), 1)],
)
def test_jobs_of_large_molecules_and_of_many_tries_have_few_seeds(pool, monkeypatch, smiles, recipe, size):
    sizes = []

    def submit(job, urgent=True):
        sizes.append(len(job.seeds))
        done = Future()
        done.set_result([None] * len(job.seeds))
        return done

    monkeypatch.setattr(pool, "submit", submit)
    PoolGuesser(pool)([molecule_of(smiles)], [range(16)], go_on, recipe)
    assert sizes == [size] * (16 // size)


def test_molecules_that_fill_the_children_together_are_not_split(pool, jobs):
    PoolGuesser(pool)([molecule_of("CO"), molecule_of("CN")], [[1, 2], [3, 4]], go_on)
    assert jobs == [("CO", (1, 2)), ("CN", (3, 4))]


def test_molecule_without_seeds_is_not_asked_for(pool, jobs):
    assert PoolGuesser(pool)([molecule_of("CO"), molecule_of("CN")], [[], [1]], go_on)[0] == []
    assert jobs == [("CN", (1,))]


@pytest.mark.parametrize(
    ("function", "patience"), [(partial(time.sleep, 600), 0.004), (partial(os._exit, 1), 1.0)], ids=["hangs", "dies"]
)
def test_molecule_that_costs_a_child_has_no_guesses_and_its_neighbours_have_theirs(
    pool, jobs, sabotage, function, patience
):
    sabotage(BAD, function, patience)
    good, bad = molecule_of("CCO"), molecule_of(BAD)
    guess = PoolGuesser(pool)
    first, lost, last = guess([good, bad, good], [[1, 2], range(20), [3]], go_on)
    assert lost == [None] * 20
    assert all(map(np.array_equal, [*first, *last], embed_guesses(good, [1, 2, 3])))
    assert 1 <= sum(smiles == BAD for smiles, _ in jobs) <= 2  # not all three: once for each child at most
    before = len(jobs)
    assert guess([bad], [[7]], go_on) == [[None]]
    assert len(jobs) == before


def test_stop_ends_the_waiting_while_a_child_works(pool, sabotage):
    sabotage(BAD, partial(time.sleep, 600), 0.05)
    asked = []

    def check_stop():
        asked.append(True)
        if len(asked) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        PoolGuesser(pool)([molecule_of(BAD)], [range(20)], check_stop)
    assert len(asked) == 4


def test_jobs_that_wait_when_the_work_is_ended_are_taken_back(pool, monkeypatch):
    waiting = []

    def submit(job, urgent=True):
        waiting.append(Future())
        return waiting[-1]

    def check_stop():
        if waiting:
            raise KeyboardInterrupt

    monkeypatch.setattr(pool, "submit", submit)
    with pytest.raises(KeyboardInterrupt):
        PoolGuesser(pool)([molecule_of("CO")], [range(20)], check_stop)
    assert [future.cancelled() for future in waiting] == [True, True]
