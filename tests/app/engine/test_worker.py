"""What happens between tickets and the device; the worker runs in the thread of a real engine."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from app.engine.capacity import Capacity
from app.engine.lane import Lane
from models.data.features import PAIR_SIZES, TOKEN_SIZES
from models.data.guess import guess_all
from models.draws import RETRY_STRIDE
from models.networks.denoiser import DenoiserConfig
from models.networks.preconditioning import PreconditionedDenoiser
from models.pipeline import generate

CAPACITY = Capacity(overhead_s=1e-3, token_s=1e-5, pair_s=0.0, max_pairs=64 * 24**2)
PATIENCE_S = 300  # for machines with other work
WARM = {"start": "etkdg", "start_time": 0.8}


def answer(ticket):
    return ticket.future.result(PATIENCE_S)


def reasons(ensemble):
    return {problem.reason: problem.count for problem in ensemble.problems}


def assert_equal(made, expected, tolerance=1e-4):
    """Ensembles that agree in everything, and in coordinates to the tolerance, Å."""
    for one, other in zip(made, expected, strict=True):
        assert (one.molecule.id, one.molecule.notes) == (other.molecule.id, other.molecule.notes)
        assert one.molecule.features is other.molecule.features
        assert (one.requested, one.attempts, one.first_pass) == (other.requested, other.attempts, other.first_pass)
        assert one.problems == other.problems
        assert [(c.index, c.seed) for c in one.conformers] == [(c.index, c.seed) for c in other.conformers]
        for a, b in zip(one.conformers, other.conformers, strict=True):
            np.testing.assert_allclose(a.coordinates, b.coordinates, atol=tolerance)


def bare(model, ticket):
    return generate(model, ticket.molecules, ticket.counts, ticket.seeds, ticket.options)


def starts_left(x):
    return bool(x[0, 0] > 0)


@pytest.mark.parametrize(
    "options",
    [{}, {"kind": "heun"}, WARM, {"start": "mmff94s", "start_time": 0.9}, {"schedule": "log", "steps": 5}],
    ids=str,
)
def test_answers_are_those_of_the_bare_pipeline(build, network, model, ticket, options):
    network.spoils = starts_left  # about half of all draws fail
    engine = build()
    many = ticket("CCO", "C[C@H](N)C(=O)O", "C", count=[25, 3, 7], seed=1000, **options)
    others = [ticket("CCO", seed=k, steps=2 + k) for k in range(4)]
    for each in (many, *others):
        engine.submit(each)
    made = answer(many)
    assert any(c.seed > 2**32 for e in made for c in e.conformers)
    assert_equal(made, bare(model, many))
    for each in others:
        assert_equal(answer(each), bare(model, each))


def test_hopeless_molecule_is_given_up_as_in_the_bare_pipeline(build, network, model, ticket):
    network.spoils = lambda x: len(x) == 9  # ethanol never succeeds
    engine = build()
    one = ticket("CCO", "C", count=[25, 2])
    engine.submit(one)
    made = answer(one)
    assert_equal(made, bare(model, one))
    assert made[0].attempts == 25
    assert reasons(made[0]) == {"broken_bond": 25}
    assert made[1].status == "ok"


def trained_like():
    """A small network that moves atoms about in its own way."""
    torch.manual_seed(3)
    config = DenoiserConfig(
        TOKEN_SIZES, PAIR_SIZES, channels=16, heads=2, layers=2, pair_channels=8, radial=4, expansion=2
    )
    module = PreconditionedDenoiser(config)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return module.eval().requires_grad_(False)


def test_structures_do_not_depend_on_who_comes_and_goes(build, monkeypatch, ticket, model):
    """Twelve tickets of other sizes, steps and starts come by and leave; each gets what it gets alone."""
    object.__setattr__(model, "module", trained_like())
    monkeypatch.setattr(
        "models.conformer_draws.find_faults", lambda molecule, limits, structures: [None] * len(structures)
    )  # the network is not trained
    chains = ["C", "CC", "CCO", "CCCC", "CCN", "OCCO", "CC=O", "CCCCC", "C1CC1", "CCCCCCC", "NCC", "CF"]
    engine = build()
    tickets = [
        ticket(chains[k], count=1 + k % 3, seed=10 * k, steps=20 + 3 * k, **(WARM if k % 4 == 1 else {}))
        for k in range(len(chains))
    ]
    for each in tickets:
        engine.submit(each)
        time.sleep(0.01)
    drawn = [answer(each) for each in tickets]
    for each, made in zip(tickets, drawn, strict=True):
        assert_equal(made, bare(model, each))
    assert np.abs(drawn[0][0].conformers[0].coordinates).max() > 0.5


def test_tickets_that_come_later_join_a_running_batch(build, network, ticket, hold):
    engine = build()
    first = hold(engine, ticket("CCO", steps=6))
    second = ticket("CCN", steps=2)
    engine.submit(second)
    network.free.set()
    assert [e.status for e in (*answer(first), *answer(second))] == ["ok", "ok"]
    counts = network.batches
    start = next(k for k, rows in enumerate(counts) if rows == [9])
    assert counts[start : start + 6] == [[9], [9, 10], [9, 10], [9], [9], [9]]


def test_tickets_with_other_steps_or_start_share_a_batch_and_other_samplers_do_not(build, network, ticket, hold):
    engine = build()
    hold(engine, ticket("C"))
    tickets = [ticket("CCO", steps=3), ticket("CCO", steps=5), ticket("CCO", kind="heun")]
    tickets.append(ticket("CCO", **WARM))
    for each in tickets:
        engine.submit(each)
    network.free.set()
    for each in tickets:
        answer(each)
    assert max(rows.count(9) for rows in network.batches) >= 2
    assert max(map(len, network.batches)) <= 3


def test_brief_tickets_do_not_wait_for_a_large_one(build, network, ticket, hold):
    engine = build()
    large = hold(engine, ticket("CCO", count=1000, steps=20))
    small = [ticket("CCN", seed=k) for k in range(5)]
    for each in small:
        engine.submit(each)
    network.free.set()
    for each in small:
        assert answer(each)[0].status == "ok"
    assert not large.future.done()
    assert all(len(set(rows)) == 1 for rows in network.batches)  # they are in batches of their own
    large.cancel()


def test_large_ticket_moves_on_beside_brief_ones(build, network, ticket, hold):
    engine = build()
    large = hold(engine, ticket("CCO", count=100, steps=2))
    stop = threading.Event()

    def keep_busy():
        while not stop.is_set():
            each = ticket("CCN", steps=10)
            engine.submit(each)
            answer(each)

    threads = [threading.Thread(target=keep_busy) for _ in range(2)]
    for thread in threads:
        thread.start()
    network.free.set()
    try:
        assert answer(large)[0].status == "ok"
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_work_of_low_priority_is_never_brief(build, network, ticket, hold):
    engine = build()
    hold(engine, ticket("C"))
    job, request = ticket("CCO", priority=-1), ticket("CCO")
    for each in (job, request):
        engine.submit(each)
    network.free.set()
    assert answer(job)[0].status == answer(request)[0].status == "ok"
    assert [9, 9] not in network.batches


def test_cancelled_ticket_leaves_within_one_step(build, network, ticket, hold):
    engine = build()
    gone, stays = ticket("CCO", "C", steps=500), ticket("CCN", steps=4)
    engine.submit(stays)
    hold(engine, gone)
    gone.cancel()
    network.batches.clear()
    network.free.set()
    made = answer(gone)
    assert [reasons(e) for e in made] == [{"stopped": 1}] * 2
    assert answer(stays)[0].status == "ok"
    assert sum(9 in rows for rows in network.batches) <= 1


def test_late_ticket_leaves_within_one_step(build, network, ticket, hold):
    engine = build()
    late = hold(engine, ticket("CCO", steps=500))
    late.deadline = time.monotonic()
    network.batches.clear()
    network.free.set()
    assert reasons(answer(late)[0]) == {"stopped": 1}
    assert len(network.batches) <= 1


def test_ticket_that_nobody_waits_for_is_not_sampled(build, network, ticket, hold):
    engine = build()
    hold(engine, ticket("C"))
    cancelled, given_up, late = ticket("CCO"), ticket("CCO"), ticket("CCO", deadline=time.monotonic() - 1)
    other = ticket("CCN")
    for each in (cancelled, given_up, late, other):
        engine.submit(each)
    cancelled.cancel()
    assert given_up.future.cancel()
    network.free.set()
    assert answer(other)[0].status == "ok"
    assert reasons(answer(late)[0]) == {"stopped": 1}
    assert cancelled.future.cancelled()
    assert not any(9 in rows for rows in network.batches)


def test_what_a_ticket_has_by_its_end_is_kept(build, network, ticket, hold):
    engine = build()
    both = ticket("C", "CCO", count=[1, 1], steps=3)
    told = []
    both.on_molecule = lambda place, ensemble: (told.append(place), both.cancel())
    engine.submit(both)
    made = answer(both)
    assert told[0] in (0, 1)
    assert made[told[0]].status == "ok"


def test_molecules_are_told_of_once_and_as_soon_as_they_are_complete(build, network, ticket):
    engine = build()
    told = []
    many = ticket("C", "CCO", "CCN", count=[2, 0, 5], on_molecule=lambda k, e: told.append((k, e)))
    engine.submit(many)
    made = answer(many)
    assert sorted(place for place, _ in told) == [0, 1, 2]
    assert all(ensemble == made[place] for place, ensemble in told)


def test_failing_listener_is_not_felt(build, ticket):
    def broken(place, ensemble):
        raise RuntimeError("listener")

    engine = build()
    one = ticket("C", on_molecule=broken)
    engine.submit(one)
    assert answer(one)[0].status == "ok"
    assert engine.ready


def test_ticket_without_work_is_answered(build, ticket):
    engine = build()
    for each in (ticket(), ticket("C", count=0)):
        engine.submit(each)
        assert all(e.status == "ok" for e in answer(each))


def test_failure_of_a_molecule_is_not_felt_by_those_beside_it(build, network, ticket, hold):
    engine = build()
    hold(engine, ticket("C"))
    good = [ticket("CCO", seed=k) for k in range(6)]
    bad = ticket("CCN")
    network.breaks = lambda counts: RuntimeError("bad molecule") if 10 in counts else None
    for each in (*good[:3], bad, *good[3:]):
        engine.submit(each)
    network.free.set()
    with pytest.raises(RuntimeError, match="bad molecule"):
        answer(bad)
    assert [answer(each)[0].status for each in good] == ["ok"] * 6
    assert engine.ready


def test_batch_that_does_not_fit_into_memory_is_split(build, network, model, ticket):
    engine = build()
    network.breaks = lambda counts: torch.OutOfMemoryError("CUDA out of memory") if len(counts) > 3 else None
    one = ticket("CCO", count=20)
    engine.submit(one)
    made = answer(one)
    network.breaks = lambda counts: None
    assert_equal(made, bare(model, one))
    assert max(map(len, network.batches[-3:])) <= 20
    stats = engine.stats()
    assert stats.out_of_memory >= 2
    again = ticket("CCO", count=20, seed=50)
    before = len(network.batches)
    engine.submit(again)
    answer(again)
    assert max(map(len, network.batches[before:])) <= 3  # what was learned stays


def test_molecule_that_never_fits_into_memory_fails_alone(build, network, ticket):
    engine = build()
    network.breaks = lambda counts: MemoryError() if 10 in counts else None
    one = ticket("CCO", "CCN", count=3)
    engine.submit(one)
    good, bad = answer(one)
    assert good.status == "ok"
    assert reasons(bad) == {"out_of_memory": 3}


def test_guesses_are_made_while_the_device_works(build, network, ticket):
    asked, free = threading.Event(), threading.Event()

    def guesser(molecules, seeds, check_stop, recipe):
        asked.set()
        assert free.wait(PATIENCE_S)
        return guess_all(molecules, seeds, check_stop, recipe)

    engine = build(guesser=lambda brief: guesser)
    warm, cold = ticket("CCO", **WARM), ticket("CCN")
    engine.submit(warm)
    assert asked.wait(PATIENCE_S)
    engine.submit(cold)
    assert answer(cold)[0].status == "ok"
    assert not warm.future.done()
    free.set()
    assert answer(warm)[0].status == "ok"


def test_clerk_does_not_wait_for_a_step_to_end(build, network, ticket, hold):
    """While the device is held, a newcomer's guesses are made, and one who leaves is answered."""
    asked = threading.Event()

    def guesser(molecules, seeds, check_stop, recipe):
        asked.set()
        return guess_all(molecules, seeds, check_stop, recipe)

    engine = build(guesser=lambda brief: guesser)
    gone = hold(engine, ticket("CCO", steps=500))
    engine.submit(new := ticket("CCN", **WARM))
    assert asked.wait(PATIENCE_S)
    gone.cancel()
    assert reasons(answer(gone)[0]) == {"stopped": 1}
    assert not network.free.is_set()
    network.free.set()
    assert answer(new)[0].status == "ok"


def test_each_ticket_has_its_own_guesser(build, ticket):
    made = []

    def guesser(brief):
        made.append(brief)
        return guess_all

    engine = build(guesser=guesser)
    for priority in (0, -1):
        one = ticket("CCO", priority=priority, **WARM)
        engine.submit(one)
        answer(one)
    assert made == [True, False]


def test_draws_without_a_guess_begin_at_noise_as_in_the_bare_pipeline(build, network, model, ticket):
    """Some draws of one molecule, and all of another, beside those with a guess; each with steps of its own."""
    network.spoils = starts_left

    def guesser(molecules, seeds, check_stop, recipe):
        found = guess_all(molecules, seeds, check_stop, recipe)
        return [
            [None if m.smiles == "CCN" or seed % 3 == 0 else guess for seed, guess in zip(part, own, strict=True)]
            for m, part, own in zip(molecules, seeds, found, strict=True)
        ]

    engine = build(guesser=lambda brief: guesser)
    one = ticket("CCO", "CCN", "C", count=[20, 2, 0], seed=1000, **WARM)
    engine.submit(one)
    made = answer(one)
    assert_equal(made, generate(model, one.molecules, one.counts, one.seeds, one.options, guesser=guesser))
    notes = [ensemble.molecule.notes for ensemble in made]
    tries = [range(1000 + c.index, c.seed + 1, RETRY_STRIDE) for c in made[0].conformers]
    lost = sum(any(seed % 3 == 0 for seed in seeds) for seeds in tries)  # those that had none once have none later
    assert 0 < lost < 20
    assert [note.rsplit(": ")[-1] for (note,) in notes[:2]] == [str(lost), "2"]
    assert notes[2] == ()
    assert any(len(set(rows)) == 2 for rows in network.batches)  # both kinds of draws shared a batch


def test_guesser_that_fails_costs_its_ticket_only(build, ticket):
    def guesser(*_):
        raise RuntimeError("no children")

    engine = build(guesser=lambda brief: guesser)
    bad, good = ticket("CCO", **WARM), ticket("CCO")
    for each in (bad, good):
        engine.submit(each)
    with pytest.raises(RuntimeError, match="no children"):
        answer(bad)
    assert answer(good)[0].status == "ok"


def test_brief_ticket_whose_guesses_fail_goes_on_with_the_bulk(build, capacity, model, ticket, monkeypatch):
    kinds = []
    monkeypatch.setattr(
        "app.engine.worker.Lane", lambda model, kind, used: kinds.append(kind) or Lane(model, kind, used)
    )

    def guesser(molecules, seeds, check_stop, recipe):
        return [[None] * len(own) for own in seeds]

    capacity(replace(CAPACITY, overhead_s=1e-4))
    engine = build(guesser=lambda brief: guesser)
    heavy, small = ticket("CCO", count=12, steps=5, **WARM), ticket("CCO", count=1, steps=5, **WARM)
    for each in (heavy, small):
        engine.submit(each)
    assert_equal(answer(heavy), generate(model, heavy.molecules, [12], [0], heavy.options, guesser=guesser))
    assert answer(small)[0].status == "ok"
    assert {kind.brief for kind in kinds} == {True, False}


def test_cancelled_ticket_also_ends_its_guesses(build, ticket, patient):
    begun, ended = threading.Event(), []

    def guesser(molecules, seeds, check_stop, recipe):
        try:
            while True:
                begun.set()
                check_stop()
                time.sleep(0.005)
        finally:
            ended.append(True)

    engine = build(guesser=lambda brief: guesser)
    one = ticket("CCO", **WARM)
    engine.submit(one)
    assert begun.wait(PATIENCE_S)
    one.cancel()
    assert reasons(answer(one)[0]) == {"stopped": 1}
    patient(lambda: ended)


def test_many_small_requests_beside_a_job_of_ten_thousand(build, capacity, network, ticket, hold, monkeypatch):
    """All small ones end long before the job, and the job has moved on meanwhile."""
    monkeypatch.setattr(
        "models.conformer_draws.find_faults", lambda molecule, limits, structures: [None] * len(structures)
    )
    capacity(Capacity(overhead_s=1e-3, token_s=1e-6, pair_s=0.0, max_pairs=32 * 8**2))
    engine = build(max_waiting=2000)
    done = []
    job = hold(engine, ticket("O", count=10_000, steps=1))
    small = [ticket("CC", seed=k, steps=2) for k in range(1000)]
    for each in small:
        each.future.add_done_callback(lambda future: done.append(job.future.done()))
        engine.submit(each)
    network.free.set()
    for each in small:
        assert answer(each)[0].status == "ok"
    before = next(iter(engine._worker.ledger)).books[0].open
    assert not any(done)  # the job was still at work
    assert before < 10_000
    assert answer(job)[0].status == "ok"
    assert len(job.future.result()[0].conformers) == 10_000
