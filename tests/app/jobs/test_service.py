import asyncio
import errno
import multiprocessing
import os
import signal
import threading
import time

import numpy as np
import psycopg
import pytest

from app.database.database import Database, DatabaseError
from app.intake.reading import Refusal
from app.jobs.kinds import KINDS
from app.jobs.record import ENDED
from models.export.packed import from_packed

SMILES = ("CCO", "CC", "C(C", "C1CC1")


@pytest.fixture(params=["conformers", "backbones"])
def order_of(request, tools):
    """Orders of so many items."""

    def build(size):
        if request.param == "conformers":
            return tools.build_order(*("C" * k for k in range(1, size + 1)))
        return tools.build_backbone_order(*range(12, 12 + size))

    return build


def run(service, work):
    """Some coroutine beside a service that runs."""

    async def both():
        await service.start()
        try:
            return await work()
        finally:
            await service.stop()
            service.close()

    return asyncio.run(both())


def state(service, job):
    return service.store.find(job.id, "me").state


def test_job_makes_what_the_same_request_would(database, tmp_path, tools, until):
    engine = tools.QuickEngine()
    service = tools.build_service(database, tmp_path, engine)

    async def work():
        job, _ = await service.submit(tools.build_order(*SMILES, count=150, seed=5), "me")
        await until(lambda: state(service, job) in ENDED)
        return service.store.find(job.id, "me")

    job = run(service, work)
    assert job.state == "done"
    assert (job.num_done, job.num_returned) == (4, 450)
    assert [m.status for m in job.items] == ["ok", "ok", "failed", "ok"]
    assert job.items[2].refusal["reason"] == "unreadable"
    assert [ticket.counts for ticket in engine.tickets] == [[150]] * 3
    assert {ticket.priority for ticket in engine.tickets} == {-1}
    (ensemble,) = from_packed(service.files.read(job.id, job.items[0].file))
    whole = tools.draw(ensemble.molecule, 150, 5)
    assert [(c.index, c.seed) for c in ensemble.conformers] == [(k, 5 + k) for k in range(150)]
    for a, b in zip(ensemble.conformers, whole.conformers, strict=True):
        assert np.array_equal(a.coordinates, b.coordinates)


def test_job_goes_on_when_the_sampler_was_away(database, tmp_path, tools, until):
    engine = tools.QuickEngine()
    engine.broken = 1
    service = tools.build_service(database, tmp_path, engine)

    async def work():
        job, _ = await service.submit(tools.build_order("CC", "C"), "me")
        await until(lambda: state(service, job) in ENDED)
        return service.store.find(job.id, "me")

    assert run(service, work).num_returned == 4


def test_server_that_ends_gives_back_what_is_not_done(database, tmp_path, tools, until, order_of):
    engine = tools.QuickEngine(tickets=1)
    service = tools.build_service(database, tmp_path, engine)

    async def begin():
        job, _ = await service.submit(order_of(2), "me")
        await until(lambda: service.store.find(job.id, "me").num_done == 1)
        return job

    job = run(service, begin)
    assert state(service, job) == "queued"
    assert [ticket.over() or ticket.future.done() for ticket in engine.tickets] == [True, True]
    again = tools.build_service(database, tmp_path, tools.QuickEngine(), "b")

    async def end():
        await until(lambda: state(again, job) in ENDED)

    run(again, end)
    assert state(again, job) == "done"
    assert len(again._engine.tickets) == 1


def test_claim_that_is_under_way_when_the_server_ends_is_given_back(database, tmp_path, tools, until):
    service = tools.build_service(database, tmp_path, tools.QuickEngine(tickets=0))
    claim, release = service.leases.claim, service.leases.release
    begun, released = threading.Event(), threading.Event()

    def claim_late(*words):
        begun.set()
        released.wait(0.5)  # it must not come to that
        return claim(*words)

    service.leases.claim = claim_late
    service.leases.release = lambda: (release(), released.set())

    async def begin():
        job, _ = await service.submit(tools.build_order("CC"), "me")
        await until(begun.is_set)
        return job

    assert state(service, run(service, begin)) == "queued"


def test_structures_of_a_sampler_that_ended_are_made_again(database, tmp_path, tools, until, order_of):
    engine = tools.QuickEngine()
    engine.closing = True
    service = tools.build_service(database, tmp_path, engine)

    async def work():
        job, _ = await service.submit(order_of(1), "me")
        await until(lambda: engine.tickets)
        assert service.store.find(job.id, "me").num_done == 0
        engine.closing = False
        await until(lambda: state(service, job) in ENDED)
        return service.store.find(job.id, "me")

    assert [m.status for m in run(service, work).items] == ["ok"]


def test_molecule_that_the_sampler_fails_on_fails_alone(database, tmp_path, tools, until, monkeypatch):
    monkeypatch.setattr("app.jobs.maker._PAUSE_S", 0.0)
    engine = tools.QuickEngine()
    answer = engine._answer

    def fail(ticket):
        if ticket.molecules[0].smiles == "CC":
            ticket.future.set_exception(RuntimeError("a broken device"))
        else:
            answer(ticket)

    engine._answer = fail
    service = tools.build_service(database, tmp_path, engine)

    async def work():
        job, _ = await service.submit(tools.build_order("CC", "C"), "me")
        await until(lambda: state(service, job) in ENDED)
        return service.store.find(job.id, "me")

    job = run(service, work)
    assert [m.status for m in job.items] == ["failed", "ok"]
    assert job.items[0].refusal["reason"] == "sampling_failed"


def test_cancelled_job_frees_the_sampler(database, tmp_path, tools, until):
    engine = tools.QuickEngine(tickets=1)
    service = tools.build_service(database, tmp_path, engine)

    async def work():
        job, _ = await service.submit(tools.build_order("CC", "C"), "me")
        await until(lambda: service.store.find(job.id, "me").num_done == 1)
        await service.cancel(job.id, "me")
        await until(lambda: engine.tickets[1].over() and not service._running)
        return job

    assert state(service, run(service, work)) == "cancelled"


@pytest.mark.parametrize("trouble", [OSError(errno.ENOSPC, "no space left"), DatabaseError("gone")])
def test_what_cannot_be_kept_waits_until_it_can(database, tmp_path, tools, until, trouble):
    service = tools.build_service(database, tmp_path, tools.QuickEngine())
    place = (service.files, "write") if isinstance(trouble, OSError) else (service.leases, "finish")
    keep, tries = getattr(*place), []

    def fail_twice(*words):
        tries.append(words)
        if len(tries) <= 2:
            raise trouble
        return keep(*words)

    setattr(*place, fail_twice)

    async def work():
        job, _ = await service.submit(tools.build_order("CC"), "me")
        await until(lambda: state(service, job) in ENDED)
        return service.store.find(job.id, "me")

    job = run(service, work)
    assert (job.state, job.num_returned) == ("done", 2)
    assert len(tries) == 3
    assert len(service._maker._engine.tickets) == 1


def test_server_survives_a_database_that_is_gone_for_a_while(database, tmp_path, tools, until):
    service = tools.build_service(database, tmp_path, tools.QuickEngine(), lease_s=0.3)
    claim, tries = service.leases.claim, []

    def fail(*words):
        tries.append(words)
        if len(tries) == 1:
            raise DatabaseError("gone")
        return claim(*words)

    service.leases.claim = fail

    async def work():
        job, _ = await service.submit(tools.build_order("CC"), "me")
        await until(lambda: state(service, job) in ENDED)
        return job

    assert state(service, run(service, work)) == "done"


def test_old_jobs_and_their_files_are_swept(database, tmp_path, tools, until):
    service = tools.build_service(database, tmp_path, tools.QuickEngine(), retention_s=0.0)

    async def work():
        job, _ = await service.submit(tools.build_order("CC"), "me")
        await until(lambda: state(service, job) in ENDED)
        (service.files.answers(job.id) / "json").touch()
        assert (tmp_path / "results" / job.id).is_dir()
        await asyncio.sleep(0.01)
        await service._sweep()
        return job

    job = run(service, work)
    assert not (tmp_path / "results" / job.id).exists()
    assert not (tmp_path / "answers" / job.id).exists()
    assert service.store.page("me", None, 10, None) == []


def serve(url, folder, tools, name, tickets):
    """A server in a process of its own, until it is killed."""
    database = Database(url)
    service = tools.build_service(database, folder, tools.QuickEngine(tickets), name, lease_s=0.5)

    async def forever():
        await service.start()
        await asyncio.sleep(600)

    asyncio.run(forever())


def kill_in_mid_job(database, database_url, tmp_path, tools, order, kills, tickets):
    """A job whose servers are killed again and again; what is left after each kill, and the job in the end."""
    job, _ = tools.build_service(database, tmp_path, None).store.submit(order, "me")
    store, done, kept = tools.build_service(database, tmp_path, None).store, 0, {}
    for number in range(kills + 1):
        last = number == kills
        words = (database_url, tmp_path, tools, f"s{number}", None if last else tickets)
        server = multiprocessing.get_context("fork").Process(target=serve, args=words)
        server.start()
        end = time.monotonic() + 120
        while (found := store.find(job.id, "me")).num_done < min(done + tickets, job.num_items) or (
            last and found.state != "done"
        ):
            assert server.is_alive() and time.monotonic() < end
            time.sleep(0.01)
        os.kill(server.pid, signal.SIGKILL)
        server.join()
        found = store.find(job.id, "me")
        done = found.num_done
        now = {m.place: m.file for m in found.items if m.sequence}
        assert kept.items() <= now.items(), "an item was made again"
        kept = now
    return store.find(job.id, "me")


def check_complete(job, tools, tmp_path, order):
    service, size = tools.build_service(None, tmp_path, None), len(order.names)
    assert (job.state, job.num_done, job.num_returned) == ("done", size, 2 * size)
    assert len({item.sequence for item in job.items}) == size
    for item in job.items:
        (ensemble,) = KINDS[order.kind].unpack(service.files.read(job.id, item.file))
        if order.kind == "conformers":
            made, expected = ensemble.conformers, tools.draw(ensemble.molecule, 2, 1).conformers
        else:
            made, expected = ensemble.samples, tools.draw(order.blueprint(item.place), 2, 1).samples
            assert (ensemble.index, ensemble.id) == (item.place, item.name)
        assert [structure.seed for structure in made] == [1, 2]
        for one, other in zip(made, expected, strict=True):
            assert np.array_equal(one.coordinates, other.coordinates)


def test_killed_server_loses_nothing_and_doubles_nothing(database, database_url, tmp_path, tools, order_of):
    order = order_of(5)
    job = kill_in_mid_job(database, database_url, tmp_path, tools, order, kills=2, tickets=2)
    check_complete(job, tools, tmp_path, order)


def test_refusal_is_recorded_and_needs_no_file(database, tmp_path, tools, until):
    service = tools.build_service(database, tmp_path, tools.QuickEngine())

    async def refuse(*_):
        return Refusal("too_complex", "it is")

    service._maker.make = refuse

    async def work():
        job, _ = await service.submit(tools.build_order("CC"), "me")
        await until(lambda: state(service, job) in ENDED)
        return service.store.find(job.id, "me")

    job = run(service, work)
    assert job.items[0].refusal == {"reason": "too_complex", "detail": "it is"}
    assert not (tmp_path / "results").exists()


def test_server_that_was_only_slow_does_not_write_over_what_its_heir_made(database, tmp_path, tools, until):
    slow = tools.build_service(database, tmp_path, tools.QuickEngine(tickets=0), "a", lease_s=0.5)
    heir = tools.build_service(database, tmp_path, tools.QuickEngine(), "b", lease_s=0.5)

    async def work():
        job, _ = await slow.submit(tools.build_order("CC", "C"), "me")
        await slow.start()
        engine = slow._maker._engine
        await until(lambda: len(engine.tickets) >= 2)
        slow._loop.cancel()  # it is there, but says nothing
        await heir.start()
        await until(lambda: state(heir, job) in ENDED)
        made = [m.file for m in heir.store.find(job.id, "me").items]
        for ticket in engine.tickets:
            engine._answer(ticket)
        await until(lambda: not slow._running)
        for service in (slow, heir):
            await service.stop()
            service.close()
        return job.id, made

    job_id, made = asyncio.run(work())
    job = heir.store.find(job_id, "me")
    assert [m.file for m in job.items] == made
    assert (job.state, job.num_done, job.num_returned) == ("done", 2, 4)
    assert {path.stem for path in (tmp_path / "results" / job_id).iterdir()} >= set(made)


def test_two_servers_share_the_jobs_of_a_database(database, tmp_path, tools, until):
    services = [
        tools.build_service(database, tmp_path, tools.QuickEngine(), name, lease_s=60.0, at_once=1) for name in "ab"
    ]
    orders = [tools.build_order("CC", "C"), tools.build_backbone_order(12, 14)]

    async def work():
        for service in services:
            await service.start()
        jobs = [(await services[0].submit(orders[k % 2], "me"))[0] for k in range(6)]
        await until(lambda: all(state(services[0], job) in ENDED for job in jobs))
        for service in services:
            await service.stop()
            service.close()
        return [services[0].store.find(job.id, "me") for job in jobs]

    assert [(job.state, job.num_done, job.takeovers) for job in asyncio.run(work())] == [("done", 2, 0)] * 6
    assert sum(len(service._engine.tickets) for service in services) == 12


def test_callers_that_wait_for_the_database_hold_up_no_job(database, tmp_path, tools, until):
    service, gate = tools.build_service(database, tmp_path, tools.QuickEngine()), threading.Event()

    async def work():
        job, _ = await service.submit(tools.build_order("CC"), "me")
        calls = [asyncio.create_task(service.call(gate.wait, 60)) for _ in range(20)]
        await until(lambda: state(service, job) in ENDED)
        gate.set()
        return await asyncio.gather(*calls)

    assert all(run(service, work))


def test_job_goes_on_after_the_database_was_away(postgres, tmp_path, tools, until):
    name = f"away_{os.getpid()}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
    database = Database(f"{postgres.url}&options=-csearch_path%3D{name}")
    database.upgrade()
    engine = tools.QuickEngine(tickets=1)
    service = tools.build_service(database, tmp_path, engine, lease_s=0.5)

    async def work():
        job, _ = await service.submit(tools.build_order("CC", "C", "CCC"), "me")
        await until(lambda: service.store.find(job.id, "me").num_done == 1)
        postgres.command("stop")
        try:
            engine.left = None
            for ticket in engine.tickets[1:]:
                engine._answer(ticket)
            with pytest.raises(DatabaseError):
                service.store.find(job.id, "me")
            await asyncio.sleep(1.0)  # twice its lease
        finally:
            postgres.command("start")
        await until(lambda: state(service, job) in ENDED)
        return service.store.find(job.id, "me")

    job = run(service, work)
    assert (job.state, job.num_done, job.num_returned) == ("done", 3, 6)
    assert len(engine.tickets) == 3, "what was made is kept until it can be recorded"
    database.close()


def test_end_that_comes_together_with_news_is_not_lost(database, tmp_path, tools):
    service = tools.build_service(database, tmp_path, tools.QuickEngine())

    async def work():
        waiting = asyncio.create_task(service.news(60))
        await asyncio.sleep(0.01)
        service._tell()
        waiting.cancel()
        await asyncio.wait([waiting])
        return waiting.cancelled()

    assert run(service, work)
