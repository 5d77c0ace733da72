"""Packing in simulated time: a device that does one second of work in one second."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.engine.packing import BRIEF_SHARE, SIZES, WEIGHT, Flow, Shares, Turn, entry_s, moved_on, pack, size_of

FLOWS = st.lists(
    st.builds(Flow, st.integers(0, 40), st.floats(0.01, 10), st.floats(0, 100), st.integers(-12, 12)), max_size=12
)


@settings(max_examples=80, deadline=None)
@given(FLOWS, st.integers(0, 100))
def test_all_places_are_filled_and_none_twice(flows, room):
    begun = pack(flows, room)
    assert all(0 <= count <= flow.draws for count, flow in zip(begun, flows, strict=True))
    assert sum(begun) == min(room, sum(flow.draws for flow in flows))


@settings(max_examples=80, deadline=None)
@given(FLOWS, st.integers(0, 100))
def test_no_flow_gets_a_place_while_another_is_further_behind(flows, room):
    begun = pack(flows, room)
    for flow, count in zip(flows, begun, strict=True):
        for other, others in zip(flows, begun, strict=True):
            if count and others < other.draws:
                assert flow.after(count - 1) <= other.after(others)


@settings(max_examples=40, deadline=None)
@given(FLOWS, st.integers(0, 50), st.integers(0, 50))
def test_places_that_come_one_after_another_go_to_the_same(flows, first, second):
    """Packing has no memory but the tags, so it does not matter when places become free."""
    at_once = pack(flows, first + second)
    begun = pack(flows, first)
    later = [Flow(f.draws - n, f.cost_s, f.after(n), f.priority) for f, n in zip(flows, begun, strict=True)]
    split = [a + b for a, b in zip(begun, pack(later, second), strict=True)]
    assert sum(split) == sum(at_once)
    if len({flow.tag_s for flow in flows}) == len(flows):
        assert max((abs(a - b) for a, b in zip(split, at_once, strict=True)), default=0) <= 1


def test_oldest_comes_first_among_equals():
    assert pack([Flow(5, 1.0, 0.0)] * 3, 4) == [2, 1, 1]


def test_costly_draws_get_fewer_places():
    cheap, dear = pack([Flow(100, 1.0, 0.0), Flow(100, 4.0, 0.0)], 50)
    assert (cheap, dear) == (40, 10)


def test_priority_weighs():
    low, high = pack([Flow(100, 1.0, 0.0, -1), Flow(100, 1.0, 0.0, 0)], 50)
    assert high / low == pytest.approx(WEIGHT, rel=0.1)


class Queue:
    """Tickets that wait for one device that makes a draw at a time; virtual time as the worker keeps it."""

    def __init__(self):
        self.now = self.clock = 0.0
        self.flows = {}
        self.ended = {}

    def enter(self, name, draws, cost=1.0, priority=0):
        self.flows[name] = Flow(draws, cost, self.clock, priority)

    def serve(self):
        names, flows = list(self.flows), list(self.flows.values())
        begun = pack(flows, 1)
        name = names[begun.index(1)]
        flow = self.flows.pop(name)
        self.clock = moved_on(self.clock, flow.cost_s, sum(flow.weight for flow in flows))
        self.now += flow.cost_s
        if flow.draws > 1:
            self.flows[name] = Flow(flow.draws - 1, flow.cost_s, flow.after(1), flow.priority)
        else:
            self.ended[name] = self.now
        return name


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=30), st.integers(0, 3))
def test_small_ticket_never_waits_for_a_large_one_to_end(sizes, before):
    """Between its coming and its end, no other ticket gets much more than it gets itself."""
    queue = Queue()
    for k in range(before + 1):
        queue.enter(f"large {k}", 10_000)
    for _ in range(7):
        queue.serve()
    for k, size in enumerate(sizes):
        queue.enter(k, size)
    served = Counter()
    while len(queue.ended) < len(sizes):
        served[queue.serve()] += 1
    large = [count for name, count in served.items() if isinstance(name, str)]
    assert max(large, default=0) <= max(sizes) + 2


@pytest.mark.parametrize("priority", [0, -1])
def test_large_ticket_keeps_its_share_beside_callers_who_always_come_back(priority):
    """Eight callers, each with a new small ticket as soon as the last one has ended."""
    queue, served, callers = Queue(), Counter(), 8
    queue.enter("large", 10_000, priority=priority)
    for k in range(callers):
        queue.enter(k, 1)
    for k in range(callers, 4000):
        name = queue.serve()
        served[name] += 1
        if name != "large":
            queue.enter(k, 1)
    weight = WEIGHT**priority
    assert served["large"] == pytest.approx(4000 * weight / (weight + callers), rel=0.15)


def run(shares, turns, seconds, until):
    """Steps of batches that take so long each; device time of each batch."""
    used = [0.0] * len(turns)
    total = 0.0
    while total < until:
        k = shares.choose([Turn(turn.brief, turn.used_s + own) for turn, own in zip(turns, used, strict=True)])
        used[k] += seconds[k]
        total += seconds[k]
        shares.charge(turns[k].brief, seconds[k])
    return used


@settings(max_examples=40, deadline=None)
@given(st.floats(0.01, 0.2), st.floats(0.01, 0.2))
def test_brief_and_bulk_batches_get_their_shares(brief_s, bulk_s):
    used = run(Shares(), [Turn(True, 0.0), Turn(False, 0.0)], [brief_s, bulk_s], 100.0)
    assert used[0] / sum(used) == pytest.approx(BRIEF_SHARE, abs=0.02)


def test_batches_of_one_sort_get_equal_time():
    used = run(Shares(), [Turn(True, 0.0), Turn(True, 0.0), Turn(True, 0.0)], [0.01, 0.1, 0.05], 30.0)
    assert max(used) - min(used) <= 0.1


@pytest.mark.parametrize("brief", [True, False])
def test_sort_that_had_nothing_to_do_saved_up_nothing(brief):
    shares = Shares()
    run(shares, [Turn(not brief, 0.0)], [0.1], 1000.0)
    used = run(shares, [Turn(brief, 0.0), Turn(not brief, 0.0)], [0.1, 0.1], 10.0)
    assert used[0] / sum(used) == pytest.approx(BRIEF_SHARE if brief else 1 - BRIEF_SHARE, abs=0.05)


def test_brief_batch_that_comes_now_and_then_is_not_held_up():
    """It makes all its steps before the next one of the bulk batch, as long as its credit lasts."""
    shares = Shares(credit_s=1.0)
    bulk, brief = Turn(False, 0.0), Turn(True, 0.0)
    for _ in range(20):
        run(shares, [bulk], [0.1], 5.0)
        for _ in range(5):
            assert shares.choose([brief, bulk]) == 0
            shares.charge(True, 0.1)
    used = run(shares, [brief, bulk], [0.1, 0.1], 1000.0)
    assert used[0] / sum(used) == pytest.approx(BRIEF_SHARE, abs=0.02)


def test_new_batch_begins_level_with_the_others_of_its_sort():
    turns = [Turn(True, 7.0), Turn(True, 5.0), Turn(False, 1.0)]
    assert (entry_s(True, turns), entry_s(False, turns), entry_s(True, [])) == (5.0, 1.0, 0.0)


@given(st.integers(1, 300))
def test_sizes_hold_their_molecules_and_waste_little(tokens):
    size = size_of(tokens)
    assert size >= tokens
    assert size in SIZES or size == tokens > max(SIZES)
    assert tokens <= 16 or size <= 1.5 * tokens
