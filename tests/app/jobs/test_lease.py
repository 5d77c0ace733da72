import time

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import delete, select
from sqlalchemy.orm import selectinload

from app.database.database import now
from app.jobs.lease import MAX_TAKEOVERS, Done, Leases
from app.jobs.record import ENDED, Job, JobItem
from app.jobs.store import JobStore

LEASE_S = 10.0
DONE = Done(2, 2, "ok", file="f")


@pytest.fixture
def clock(tools):
    return tools.Clock()


@pytest.fixture
def servers(database, clock):
    return [Leases(database, name, LEASE_S, clock) for name in "ab"]


@pytest.fixture
def job(database, clock, tools):
    return JobStore(database, 5, clock).submit(tools.build_order("CCO", "CC", "C"), "me")[0]


def test_job_of_a_server_that_lives_is_not_taken(servers, job, clock):
    first, second = servers
    assert first.claim(["quick"]).id == job.id
    for _ in range(5):
        clock.now += LEASE_S - 1
        assert first.beat([job.id]) == {job.id}
        assert second.claim(["quick"]) is None


def test_job_of_a_silent_server_is_taken_over_with_what_is_done(servers, job, clock):
    first, second = servers
    first.claim(["quick"])
    assert first.finish(job.id, 1, DONE) == "recorded"
    clock.now += LEASE_S + 1
    taken = second.claim(["quick"])
    assert (taken.id, taken.owner, taken.takeovers) == (job.id, "b", 1)
    assert second.waiting(job.id) == [0, 2]
    assert first.beat([job.id]) == set()
    assert first.finish(job.id, 0, DONE) == "lost"
    assert second.waiting(job.id) == [0, 2]


def test_molecule_is_counted_once(servers, job, database):
    first, _ = servers
    first.claim(["quick"])
    assert first.finish(job.id, 0, DONE) == "recorded"
    assert first.finish(job.id, 0, DONE) == "recorded", "its answer may have been lost"
    assert first.finish(job.id, 0, Done(2, 1, "partial", file="another")) == "known"
    with database.read() as session:
        found, molecule = session.get(Job, job.id), session.get(JobItem, (job.id, 0))
    assert (molecule.file, molecule.status) == ("f", "ok")
    assert (found.num_done, found.num_returned, found.num_structures) == (1, 2, 6)


def progress(database, job):
    with database.read() as session:
        found = session.scalar(select(Job).where(Job.id == job.id).options(selectinload(Job.items)))
    return found.num_returned, [item.num_returned for item in found.items]


def test_structures_of_items_on_their_way_are_told_by_the_owner_alone(servers, job, database, clock):
    first, second = servers
    first.report(job.id, {0: 1})
    assert progress(database, job) == (0, [0, 0, 0]), "nobody owns it"
    first.claim(["quick"])
    first.report(job.id, {0: 1, 1: 1})
    first.report(job.id, {0: 2})
    second.report(job.id, {2: 2})
    assert progress(database, job) == (3, [2, 1, 0])
    first.finish(job.id, 1, DONE)
    first.report(job.id, {1: 0})
    assert progress(database, job) == (4, [2, 2, 0]), "what is done stays"


def test_structures_that_were_not_kept_are_forgotten_with_their_server(servers, job, database, clock, tools):
    first, second = servers
    for leave in (first.release, lambda: setattr(clock, "now", clock.now + LEASE_S + 1)):
        first.claim(["quick"])
        first.report(job.id, {0: 1, 2: 2})
        leave()
        second.claim(["quick"])
        assert progress(database, job) == (0, [0, 0, 0])
        second.release()
    first.claim(["quick"])
    first.finish(job.id, 1, DONE)
    first.report(job.id, {0: 1})
    cancelled = JobStore(database, 5, clock).cancel(job.id, "me")
    assert (cancelled.num_returned, [item.num_returned for item in cancelled.items]) == (2, [0, 2, 0])
    assert progress(database, job) == (2, [0, 2, 0])


def test_clocks_of_servers_may_differ(database, tools, monkeypatch):
    JobStore(database, 5).submit(tools.build_order("CCO"), "me")
    first, second = (Leases(database, name, LEASE_S) for name in "ab")
    assert first.claim(["quick"]) is not None
    for wrong in (0.0, 1e12):
        monkeypatch.setattr("time.time", lambda wrong=wrong: wrong)
        assert second.claim(["quick"]) is None
    monkeypatch.undo()
    with database.read() as session:
        assert abs(now(session) - time.time()) < 60


def test_server_that_ends_gives_its_jobs_back_at_once(servers, job):
    first, second = servers
    first.claim(["quick"])
    first.finish(job.id, 2, DONE)
    first.release()
    taken = second.claim(["quick"])
    assert taken.id == job.id
    assert taken.takeovers == 0
    assert second.waiting(job.id) == [0, 1]


def test_job_that_ends_every_server_is_given_up(servers, job, clock, database):
    first, _ = servers
    first.claim(["quick"])
    for _ in range(MAX_TAKEOVERS):
        clock.now += LEASE_S + 1
        assert first.claim(["quick"]).id == job.id
    clock.now += LEASE_S + 1
    assert first.claim(["quick"]) is None
    with database.read() as session:
        found = session.get(Job, job.id)
    assert (found.state, found.problem["reason"]) == ("failed", "abandoned")


def test_jobs_live_by_the_rules_whatever_happens(database, tools):
    class Life(RuleBasedStateMachine):
        """Jobs beside a model of them: who owns which, and what is done."""

        def __init__(self):
            super().__init__()
            with database.write() as session:
                session.execute(delete(Job))
            self.clock = tools.Clock()
            self.store = JobStore(database, 8, self.clock)
            self.servers = {name: Leases(database, name, LEASE_S, self.clock) for name in "ab"}
            self.owner, self.until, self.done, self.ended = {}, {}, {}, {}

        def pick(self, number):
            return sorted(self.done)[number % len(self.done)] if self.done else None

        @rule(size=st.integers(1, 3))
        def submit(self, size):
            if len(self.done) - len(self.ended) < 8:
                job, new = self.store.submit(tools.build_order(*["C"] * size), "me")
                assert new
                self.done[job.id] = dict.fromkeys(range(size))

        @rule(name=st.sampled_from("ab"))
        def claim(self, name):
            silent = {j for j, end in self.until.items() if end < self.clock.now}
            queued = {j for j in self.done if j not in self.owner and j not in self.ended}
            job = self.servers[name].claim(["quick"])
            assert (job is None) == (not silent and not queued)
            if job is not None:
                assert job.id in (silent or queued)
                self.owner[job.id], self.until[job.id] = name, self.clock.now + LEASE_S

        @rule(name=st.sampled_from("ab"), number=st.integers(0, 9), place=st.integers(0, 2), again=st.booleans())
        def finish(self, name, number, place, again):
            job_id = self.pick(number)
            if job_id is None or place not in self.done[job_id]:
                return
            mine = self.owner.get(job_id) == name
            file = self.done[job_id][place] or f"{name}{self.clock.now}"
            verdict = self.servers[name].finish(job_id, place, Done(2, 2, "ok", file=file + "x" * again))
            assert verdict == ("lost" if not mine else "known" if again and self.done[job_id][place] else "recorded")
            if verdict == "recorded":
                self.done[job_id][place] = self.done[job_id][place] or file + "x" * again
                if all(self.done[job_id].values()):
                    self.end(job_id, "done")

        @rule(name=st.sampled_from("ab"), number=st.integers(0, 9), place=st.integers(0, 2), made=st.integers(0, 2))
        def report(self, name, number, place, made):
            job_id = self.pick(number)
            if job_id is not None:
                self.servers[name].report(job_id, {place: made})

        @rule(name=st.sampled_from("ab"))
        def beat(self, name):
            own = {job_id for job_id, owner in self.owner.items() if owner == name}
            assert self.servers[name].beat(list(self.done)) == own
            self.until.update(dict.fromkeys(own, self.clock.now + LEASE_S))

        @rule(name=st.sampled_from("ab"))
        def release(self, name):
            self.servers[name].release()
            for job_id in [job_id for job_id, owner in self.owner.items() if owner == name]:
                del self.owner[job_id], self.until[job_id]

        @rule(number=st.integers(0, 9))
        def cancel(self, number):
            job_id = self.pick(number)
            if job_id is not None:
                self.store.cancel(job_id, "me")
                if job_id not in self.ended:
                    self.end(job_id, "cancelled")

        @rule(seconds=st.sampled_from([1.0, LEASE_S + 1]))
        def wait(self, seconds):
            self.clock.now += seconds

        def end(self, job_id, state):
            self.ended[job_id] = state
            self.owner.pop(job_id, None)
            self.until.pop(job_id, None)

        @invariant()
        def records_are_those_of_the_model(self):
            with database.read() as session:
                jobs = session.scalars(select(Job).options(selectinload(Job.items))).all()
            assert {job.id for job in jobs} == set(self.done)
            for job in jobs:
                state = self.ended.get(job.id, "running" if job.id in self.owner else "queued")
                assert (job.state, job.owner) == (state, self.owner.get(job.id))
                assert {m.place: m.file for m in job.items} == self.done[job.id]
                assert job.num_done == sum(file is not None for file in self.done[job.id].values())
                assert all((m.sequence is None) == (m.file is None) for m in job.items)
                numbers = [m.sequence for m in job.items if m.sequence]
                assert len({*numbers, job.state_sequence}) == len(numbers) + 1
                assert job.sequence == max([*numbers, job.state_sequence])
                assert job.num_returned == sum(item.num_returned for item in job.items)
                assert state == "running" or all(item.sequence or not item.num_returned for item in job.items)
                assert (job.ended is not None) == (job.state in ENDED)

    checks = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
    effort = settings(
        max_examples=8, stateful_step_count=20, deadline=None, suppress_health_check=checks, database=None
    )
    run_state_machine_as_test(Life, settings=effort)
