import asyncio
import os
import time
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from app.intake import finisher
from app.intake.finisher import finish_all
from app.intake.finishing import Measuring, Selecting
from app.intake.pool import ChildPool
from models.data.molecule import build_molecules, read_smiles
from models.finishing.finish import finish
from models.finishing.options import FinishOptions
from models.structure import Conformer, Ensemble

ALL = FinishOptions(relax="mmff94s", prune_rmsd=0.125, rank=True, energy_window=6.0)
BAD = "CCCS"


def ensemble_of(smiles, count=6):
    (molecule,) = build_molecules(read_smiles(smiles), 0)
    mol = Chem.Mol(molecule.mol)
    parameters = rdDistGeom.ETKDGv3()
    parameters.randomSeed = 5
    rdDistGeom.EmbedMultipleConfs(mol, count, parameters)
    structures = [c.GetPositions().astype(np.float32) for c in mol.GetConformers()]
    return Ensemble(molecule, count, tuple(Conformer(k, k, x) for k, x in enumerate(structures)), (), count, count)


def same(first, second):
    return (
        first.finishing == second.finishing
        and [(c.index, c.seed, c.relaxed, c.energy_kcal_mol) for c in first.conformers]
        == [(c.index, c.seed, c.relaxed, c.energy_kcal_mol) for c in second.conformers]
        and all(np.array_equal(a.coordinates, b.coordinates)
                for a, b in zip(first.conformers, second.conformers, strict=True))
    )  # fmt: skip


def run(pool, ensembles, options=ALL, should_stop=lambda: False):
    return asyncio.run(finish_all(pool, ensembles, options, should_stop))


@pytest.fixture(scope="module")
def pool():
    pool = ChildPool(2, 60.0, 3000)
    pool.start()
    yield pool
    pool.close()


@pytest.fixture(scope="module")
def ensembles():
    return [ensemble_of(smiles) for smiles in ("CCCCO", "CCCB(O)O", "C[C@H](N)C(=O)O")]


@pytest.fixture
def sabotage(monkeypatch):
    """A job for one molecule calls a function of the standard library in the child instead."""

    def spoil(kind, function, patience=60.0):
        def is_bad(job):
            return (job.molecule if kind is Measuring else job.ensemble.molecule).smiles == BAD

        class Sabotaged(kind):
            patience = property(lambda self: limit if is_bad(self) else 1.0)

            def __reduce__(self):
                return (function, ()) if is_bad(self) else (kind, tuple(vars(self).values()))

        limit = patience
        monkeypatch.setattr(finisher, kind.__name__, Sabotaged)

    return spoil


@pytest.mark.parametrize(
    "options", [ALL, FinishOptions(energies="mmff94s"), FinishOptions(prune_rmsd=0.3), FinishOptions()], ids=str
)
def test_children_do_what_the_library_does(pool, ensembles, options):
    done = run(pool, ensembles, options)
    assert all(same(a, finish(b, options)) for a, b in zip(done, ensembles, strict=True))
    assert pool.requests == 0


def test_nothing_to_finish_asks_nothing(ensembles):
    class NoPool:
        requests = 0

        def __len__(self):
            return 1

    empty = replace(ensembles[0], conformers=())
    assert run(NoPool(), []) == []
    assert run(NoPool(), [empty]) == [empty]


@pytest.mark.parametrize("kind", [Measuring, Selecting])
@pytest.mark.parametrize(
    ("function", "patience", "reason"),
    [
        (partial(time.sleep, 600), 0.01, "finish_timeout"),
        (partial(os._exit, 3), 60.0, "finish_failed"),
        (partial(int, "x"), 60.0, "finish_failed"),
    ],
    ids=["late", "died", "error"],
)
def test_ensemble_that_costs_its_child_is_as_sampled_and_costs_no_other(
    pool, ensembles, sabotage, kind, function, patience, reason
):
    bad = ensemble_of(BAD)
    sabotage(kind, function, patience)
    first, spoiled, last = run(pool, [ensembles[0], bad, ensembles[2]])
    assert same(first, finish(ensembles[0], ALL))
    assert same(last, finish(ensembles[2], ALL))
    assert spoiled.conformers is bad.conformers
    assert spoiled.status == "ok"
    (problem,) = spoiled.finishing.problems
    assert (problem.reason, problem.count) == (reason, 6)
    assert "as sampled" in problem.detail


def test_work_that_is_ended_keeps_what_is_whole(pool, ensembles, sabotage, monkeypatch):
    bad, looks = ensemble_of(BAD, 4), []  # four conformers keep one child busy, and the other finishes the first
    sabotage(Measuring, partial(time.sleep, 600), patience=0.2)
    selecting, submit = [], pool.submit

    def remember(job):
        future = submit(job)
        selecting.extend([future] if isinstance(job, Selecting) else [])
        return future

    def should_stop():
        assert pool.requests == 1  # counted, so that a service that is full can say so
        looks.append(bool(selecting) and selecting[0].done())
        return sum(looks) > 3

    monkeypatch.setattr(pool, "submit", remember)
    first, spoiled = run(pool, [ensembles[0], bad], should_stop=should_stop)
    assert same(first, finish(ensembles[0], ALL))
    assert [p.reason for p in spoiled.finishing.problems] == ["stopped"]
    assert spoiled.conformers is bad.conformers
    assert pool.requests == 0


def test_conformers_travel_a_few_at_a_time(pool, ensembles, monkeypatch):
    sizes, submit = [], pool.submit

    def remember(job):
        sizes.append(len(job.conformers) if isinstance(job, Measuring) else 0)
        return submit(job)

    monkeypatch.setattr(pool, "submit", remember)
    run(pool, ensembles[:1])
    assert sorted(sizes) == [0, 2, 4]
