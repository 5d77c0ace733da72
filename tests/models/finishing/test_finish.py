from dataclasses import replace

import numpy as np
import pytest

from models.data import mmff
from models.data.verify import find_faults, geometry_limits
from models.finishing.finish import REASONS, finish, unfinished
from models.finishing.options import FinishOptions
from models.structure import Problem

RELAX = FinishOptions(relax="mmff94s")
ALL = FinishOptions(relax="mmff94s", prune_rmsd=0.125, rank=True, energy_window=6.0)


def energies_of(ensemble):
    return [c.energy_kcal_mol for c in ensemble.conformers]


def places_of(ensemble):
    return [(c.index, c.seed) for c in ensemble.conformers]


def counts(problems):
    return {p.reason: p.count for p in problems}


@pytest.fixture
def butanols(ensemble_of):
    """Twelve conformers of a chain, of which some are the same."""
    return ensemble_of("CCCCO", "butanol", 12)


def test_nothing_asked_changes_nothing(butanols):
    assert finish(butanols, FinishOptions()) is butanols
    empty = replace(butanols, conformers=())
    assert finish(empty, ALL) is empty


def test_relaxed_conformers_are_checked_minima_of_their_own_start(butanols):
    done = finish(butanols, RELAX)
    molecule = butanols.molecule
    assert places_of(done) == places_of(butanols)
    assert all(c.relaxed for c in done.conformers)
    x = np.stack([c.coordinates for c in done.conformers])
    assert x.dtype == np.float32
    assert np.abs(x.mean(1)).max() < 1e-5
    assert find_faults(molecule, geometry_limits(molecule), x) == [None] * 12
    before = mmff.energies(molecule.mol, np.stack([c.coordinates for c in butanols.conformers]))
    assert (np.array(energies_of(done)) < before).all()
    np.testing.assert_allclose(energies_of(done), mmff.energies(molecule.mol, x), atol=1e-3)
    assert (done.finishing.relax, done.finishing.energy_method) == ("MMFF94s", "MMFF94s")
    assert done.finishing.lowest_kcal_mol == min(energies_of(done))
    assert (done.finishing.removed, done.finishing.problems, done.status) == ((), (), "ok")


def test_energies_alone_move_nothing(butanols):
    done = finish(butanols, FinishOptions(energies="mmff94s"))
    for new, old in zip(done.conformers, butanols.conformers, strict=True):
        assert not new.relaxed
        assert new.coordinates is old.coordinates
    assert done.finishing.relax is None
    assert done.finishing.energy_method == "MMFF94s"
    assert done.finishing.lowest_kcal_mol == min(energies_of(done))


def test_ranking_puts_the_lowest_first_and_equal_ones_in_seed_order(butanols):
    same = replace(butanols, conformers=tuple(replace(c, coordinates=butanols.conformers[k // 2 * 2].coordinates)
                                              for k, c in enumerate(butanols.conformers)))  # fmt: skip
    done = finish(same, FinishOptions(energies="mmff94s", rank=True))
    assert energies_of(done) == sorted(energies_of(done))
    assert sorted(places_of(done)) == places_of(butanols)
    indices = [c.index for c in done.conformers]
    assert all(b == a + 1 for a, b in zip(indices[::2], indices[1::2], strict=True))


def test_window_is_counted_from_the_lowest(butanols):
    energies = np.array(energies_of(finish(butanols, RELAX)))
    window = float(np.median(energies) - energies.min()) + 1e-6
    done = finish(butanols, replace(RELAX, energy_window=window))
    assert [c.index for c in done.conformers] == np.flatnonzero(energies <= energies.min() + window).tolist()
    missing = 12 - len(done.conformers)
    assert 0 < missing < 12
    assert counts(done.finishing.removed) == {"energy_window": missing}
    assert done.num_pruned == missing
    assert done.status == "ok"


def test_lowest_of_each_group_stays(butanols):
    done = finish(butanols, replace(RELAX, prune_rmsd=0.125))
    assert len(done.conformers) + done.num_pruned == 12
    assert counts(done.finishing.removed) == {"duplicate": done.num_pruned}
    assert 0 < done.num_pruned < 11
    energies = energies_of(finish(butanols, RELAX))
    assert min(energies) in energies_of(done)
    assert [c.index for c in done.conformers] == sorted(c.index for c in done.conformers)


def test_without_energies_the_first_seed_stays(butanols):
    twice = replace(
        butanols,
        conformers=tuple(replace(c, coordinates=butanols.conformers[k % 3].coordinates)
                         for k, c in enumerate(butanols.conformers)),
    )  # fmt: skip
    done = finish(twice, FinishOptions(prune_rmsd=0.01))
    assert places_of(done) == places_of(butanols)[:3]
    assert energies_of(done) == [None] * 3
    assert counts(done.finishing.removed) == {"duplicate": 9}
    assert done.finishing.energy_method is None


def test_finishing_is_idempotent(butanols):
    once = finish(butanols, ALL)
    keep = replace(ALL, relax=None, energies="mmff94s")
    twice = finish(once, keep)
    assert places_of(twice) == places_of(once)
    assert twice.num_pruned == once.num_pruned
    np.testing.assert_allclose(energies_of(twice), energies_of(once), atol=1e-3)


def test_finishing_does_not_depend_on_the_order_of_the_conformers(butanols):
    backwards = replace(butanols, conformers=butanols.conformers[::-1])
    assert sorted(places_of(finish(backwards, RELAX))) == places_of(finish(butanols, RELAX))
    energies = [energies_of(finish(e, ALL)) for e in (butanols, backwards)]
    np.testing.assert_allclose(*energies, atol=1e-4)


def spoil(monkeypatch, change):
    """The force field moves the second conformer to a place that no check accepts."""
    relax = mmff.relax

    def spoiled(mol, x, max_iterations=500):
        minima = relax(mol, x, max_iterations)
        if max_iterations and len(x) > 1:
            minima.coordinates[1] = change(minima.coordinates[1])
            minima.energies[1] = -1e6
        return minima

    monkeypatch.setattr(mmff, "relax", spoiled)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda x: x * [-1, 1, 1], "wrong_stereo"),
        (lambda x: 2 * x, "broken_bond"),
        (lambda x: x * np.nan, "not_finite"),
    ],
)
def test_conformer_that_fails_after_relaxing_is_put_back(ensemble_of, monkeypatch, change, fault):
    ensemble = ensemble_of("C[C@H](N)C(=O)O", "alanine", 3)
    spoil(monkeypatch, change)
    done = finish(ensemble, replace(RELAX, rank=True))
    by_index = {c.index: c for c in done.conformers}
    assert [by_index[k].relaxed for k in range(3)] == [True, False, True]
    np.testing.assert_array_equal(by_index[1].coordinates, ensemble.conformers[1].coordinates)
    own = mmff.energies(ensemble.molecule.mol, ensemble.conformers[1].coordinates[None])[0]
    assert by_index[1].energy_kcal_mol == pytest.approx(own)
    assert done.conformers[-1].index == 1  # as sampled it lies higher than a minimum
    (problem,) = done.finishing.problems
    assert (problem.reason, problem.count) == ("relaxation_rejected", 1)
    assert f"1 {fault}" in problem.detail
    assert done.status == "ok"


def test_conformer_that_has_not_arrived_is_counted_and_kept(butanols, monkeypatch):
    relax = mmff.relax
    monkeypatch.setattr(mmff, "relax", lambda mol, x, max_iterations=2: relax(mol, x, min(max_iterations, 2)))
    done = finish(butanols, RELAX)
    assert counts(done.finishing.problems) == {"not_converged": 12}
    assert all(c.relaxed for c in done.conformers)


def test_molecule_without_parameters_is_pruned_but_not_moved(ensemble_of):
    ensemble = ensemble_of("CCCB(O)O", "boronic acid", 4)
    twice = replace(ensemble, requested=8, conformers=ensemble.conformers + tuple(
        replace(c, index=c.index + 4) for c in ensemble.conformers))  # fmt: skip
    done = finish(twice, replace(ALL, prune_rmsd=0.001))
    assert [c.index for c in done.conformers] == [0, 1, 2, 3]
    assert all(c.coordinates is old.coordinates for c, old in zip(done.conformers, ensemble.conformers, strict=True))
    assert energies_of(done) == [None] * 4
    assert done.finishing.energy_method is None
    assert counts(done.finishing.removed) == {"duplicate": 4}
    assert counts(done.finishing.problems) == {"no_mmff_parameters": 8}


def test_single_atom_is_finished(ensemble_of):
    done = finish(ensemble_of("[Cl-]", "", 3), ALL)
    assert len(done.conformers) == 1
    assert counts(done.finishing.removed) == {"duplicate": 2}


def test_unfinished_ensemble_is_as_it_was_and_says_why(butanols):
    late = unfinished(butanols, ALL, "finish_timeout")
    assert late.conformers == butanols.conformers
    assert late.status == "ok"
    assert late.finishing.problems == (Problem("finish_timeout", REASONS["finish_timeout"], 12),)
    assert late.finishing.energy_method is None
    assert unfinished(butanols, FinishOptions(), "stopped") is butanols
