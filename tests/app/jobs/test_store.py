import threading

import pytest

from app.errors import Problem
from app.jobs.lease import Done, Leases
from app.jobs.store import JobStore

DONE = Done(2, 2, "ok")


@pytest.fixture
def clock(tools):
    return tools.Clock()


@pytest.fixture
def store(database, clock):
    return JobStore(database, 5, clock)


@pytest.fixture
def server(database, clock):
    return Leases(database, "a", 10.0, clock)


@pytest.fixture
def order(tools):
    return tools.build_order("CCO", "CC")


def test_submitted_job_waits_with_its_molecules(store, order):
    job, new = store.submit(order, "me")
    assert new
    found = store.find(job.id, "me")
    assert (found.state, found.num_items, found.num_structures, found.num_done) == ("queued", 2, 4, 0)
    assert [(m.place, m.name, m.sequence) for m in found.items] == [(0, "m0", None), (1, "m1", None)]
    assert store.order_of(job.id) == order


def test_order_of_backbones_waits_with_its_lengths(store, tools):
    order = tools.build_backbone_order(12, 20, 12, count=5)
    job, _ = store.submit(order, "me")
    found = store.find(job.id, "me")
    assert (found.kind, found.model, found.num_items, found.num_structures) == ("backbones", "quick-chains", 3, 15)
    assert [(item.place, item.name, item.num_requested) for item in found.items] == [
        (0, "12-1", 5), (1, "20-2", 5), (2, "12-3", 5)
    ]  # fmt: skip
    assert store.order_of(job.id) == order


def test_ids_cannot_be_guessed(store, order):
    first, second = (store.submit(order, "me")[0].id for _ in range(2))
    assert len(first) >= 32
    assert sum(a == b for a, b in zip(first, second, strict=True)) < 12


def test_job_is_seen_by_its_principal_only(store, order):
    job, _ = store.submit(order, "me")
    for look in (store.find, store.cancel):
        with pytest.raises(Problem) as caught:
            look(job.id, "you")
        assert (caught.value.status, caught.value.reason) == (404, "not_found")
    assert store.page("you", None, 10, None) == []
    assert store.find(job.id, "me").state == "queued"


def test_jobs_are_counted_by_state_until_they_end(store, server, order):
    assert store.counts() == {"queued": 0, "running": 0}
    jobs = [store.submit(order, who)[0] for who in ("me", "you", "me")]
    store.cancel(jobs[0].id, "me")
    server.claim([order.model], False)
    assert store.counts() == {"queued": 1, "running": 1}


def test_too_many_jobs_are_refused_with_a_time_to_come_back(store, order):
    for _ in range(5):
        store.submit(order, "me")
    with pytest.raises(Problem) as caught:
        store.submit(order, "me")
    assert (caught.value.status, caught.value.reason) == (503, "overloaded")
    assert int(caught.value.headers["Retry-After"]) > 0


def test_same_key_and_body_is_the_same_job(store, order):
    job, _ = store.submit(order, "me", "key", "hash")
    again, new = store.submit(order, "me", "key", "hash")
    assert (again.id, new) == (job.id, False)
    assert len(again.items) == 2
    other, new = store.submit(order, "you", "key", "other hash")
    assert new
    assert other.id != job.id


def test_same_key_and_another_body_is_refused(store, order):
    store.submit(order, "me", "key", "hash")
    with pytest.raises(Problem) as caught:
        store.submit(order, "me", "key", "other hash")
    assert (caught.value.status, caught.value.reason) == (422, "key_reused")


def test_same_key_sent_at_once_makes_one_job(store, order):
    made, barrier = [], threading.Barrier(8)

    def send():
        barrier.wait()
        made.append(store.submit(order, "me", "key", "hash"))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({job.id for job, _ in made}) == 1
    assert sorted(new for _, new in made) == [False] * 7 + [True]


def test_pages_list_every_job_once_newest_first(store, order, clock):
    ids = []
    for k in range(5):
        clock.now += k % 2  # some at the same moment
        ids.append(store.submit(order, "me")[0].id)
    listed, before = [], None
    while page := store.page("me", None, 2, before):
        listed.extend(page)
        before = page[-1].id
    assert sorted(job.id for job in listed) == sorted(ids)
    assert [job.created for job in listed] == sorted((job.created for job in listed), reverse=True)
    assert store.page("me", "running", 10, None) == []


def test_callers_take_turns_and_the_queue_says_so(store, order, server, clock):
    mine = []
    for _ in range(3):
        mine.append(store.submit(order, "me")[0])
        clock.now += 1
    yours, _ = store.submit(order, "you")
    assert server.claim(["quick"]).id == mine[0].id
    assert [store.ahead(job, ["quick"]) for job in (yours, mine[1], mine[2])] == [
        (k, {"conformers": 4 * (k + 1)}) for k in range(3)
    ]
    assert [server.claim(["quick"]).id for _ in range(3)] == [yours.id, mine[1].id, mine[2].id]
    assert server.claim(["quick"]) is None


def test_job_that_somebody_waits_for_comes_first(store, order, server):
    store.submit(order, "me")
    urgent, _ = store.submit(order, "me", "key", "hash", interactive=True)
    assert server.claim(["quick"], interactive=True).id == urgent.id
    assert server.claim(["quick"], interactive=True) is None


def test_job_waits_for_a_server_with_its_model(store, order, server):
    store.submit(order, "me")
    assert server.claim(["another"]) is None
    assert server.claim([]) is None
    assert server.claim(["another", "quick"]) is not None


def test_events_after_one_are_those_that_came_later(store, order, server):
    job, _ = store.submit(order, "me")
    server.claim(["quick"])
    for place in (1, 0):
        server.finish(job.id, place, DONE)
    now, molecules = store.events(job.id, 0)
    assert [m.place for m in molecules] == [1, 0]
    numbers = [m.sequence for m in molecules]
    assert numbers == sorted(numbers)
    assert now.state == "done"
    assert now.state_sequence == now.sequence > numbers[-1]
    assert [m.place for m in store.events(job.id, numbers[0])[1]] == [0]
    assert store.events(job.id, now.sequence)[1] == []


def test_cancelled_job_stays_so_with_what_it_has(store, order, server):
    job, _ = store.submit(order, "me")
    server.claim(["quick"])
    server.finish(job.id, 0, DONE)
    assert store.cancel(job.id, "me").state == "cancelled"
    assert server.beat([job.id]) == set()
    assert server.finish(job.id, 1, DONE) == "lost"
    assert store.cancel(job.id, "me").state == "cancelled"
    found = store.find(job.id, "me")
    assert [m.sequence is None for m in found.items] == [False, True]


def test_only_jobs_that_ended_long_ago_expire(store, order, server, clock):
    ended, _ = store.submit(order, "me")
    store.cancel(ended.id, "me")
    active, _ = store.submit(order, "me")
    clock.now += 100
    recent, _ = store.submit(order, "me")
    store.cancel(recent.id, "me")
    assert store.expired(50) == [ended.id]
    store.forget([ended.id, active.id])
    assert {job.id for job in store.page("me", None, 10, None)} == {active.id, recent.id}
    with pytest.raises(Problem):
        store.events(ended.id, 0)
