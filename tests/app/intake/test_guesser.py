import os
import time
from concurrent.futures import Future
from functools import partial

import numpy as np
import pytest

from app.intake import guesser
from app.intake.embedding import Embedding
from app.intake.guesser import PoolGuesser
from app.intake.pool import ChildPool
from models.data.guess import Recipe, embed_guesses, make_guesses
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

    def remember(job):
        asked.append((job.molecule.smiles, job.seeds))
        return submit(job)

    monkeypatch.setattr(pool, "submit", remember)
    return asked


@pytest.fixture
def sabotage(monkeypatch):
    """Embedding of one molecule calls a function of the standard library in the child instead."""

    def replace(function, patience):
        class Sabotaged(Embedding):
            patience = property(lambda self: patience if self.molecule.smiles == BAD else 1.0)

            def __reduce__(self):
                if self.molecule.smiles == BAD:
                    return function, ()  # called where it is unpickled
                return Embedding, (self.molecule, self.seeds, self.recipe)

        monkeypatch.setattr(guesser, "Embedding", Sabotaged)

    return replace


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


@pytest.mark.parametrize(("count", "sizes"), [(1, [1]), (2, [1, 1]), (3, [2, 1]), (8, [4, 4]), (13, [4, 4, 4, 1])])
def test_seeds_of_a_molecule_are_split_over_the_children(pool, jobs, count, sizes):
    PoolGuesser(pool)([molecule_of("CO")], [range(count)], go_on)
    assert [len(seeds) for _, seeds in jobs] == sizes
    assert [seed for _, seeds in jobs for seed in seeds] == list(range(count))


def test_molecule_without_seeds_is_not_asked_for(pool, jobs):
    assert PoolGuesser(pool)([molecule_of("CO"), molecule_of("CN")], [[], [1]], go_on)[0] == []
    assert jobs == [("CN", (1,))]


@pytest.mark.parametrize(
    ("function", "patience"), [(partial(time.sleep, 600), 0.01), (partial(os._exit, 1), 1.0)], ids=["hangs", "dies"]
)
def test_molecule_that_costs_a_child_has_no_guesses_and_its_neighbours_have_theirs(
    pool, jobs, sabotage, function, patience
):
    sabotage(function, patience)
    good, bad = molecule_of("CCO"), molecule_of(BAD)
    guess = PoolGuesser(pool)
    first, lost, last = guess([good, bad, good], [[1, 2], range(20), [3]], go_on)
    assert lost == [None] * 20
    assert all(map(np.array_equal, [*first, *last], embed_guesses(good, [1, 2, 3])))
    assert 1 <= sum(smiles == BAD for smiles, _ in jobs) <= 2  # not all five: once for each child at most
    before = len(jobs)
    assert guess([bad], [[7]], go_on) == [[None]]
    assert len(jobs) == before


def test_stop_ends_the_waiting_while_a_child_works(pool, sabotage):
    sabotage(partial(time.sleep, 600), 0.05)
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

    def submit(job):
        waiting.append(Future())
        return waiting[-1]

    def check_stop():
        if waiting:
            raise KeyboardInterrupt

    monkeypatch.setattr(pool, "submit", submit)
    with pytest.raises(KeyboardInterrupt):
        PoolGuesser(pool)([molecule_of("CO")], [range(20)], check_stop)
    assert [future.cancelled() for future in waiting] == [True, True]
