import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.access.quotas import Quotas

START = 1_700_000_000.0 - 1_700_000_000.0 % 3600  # the beginning of an hour, and of a minute


class Clock:
    """Wall time that is set by hand, where the library and we look at it."""

    def __init__(self, patch):
        self.now = START
        for place in ("limits.storage.memory.time", "limits.strategies.time", "app.access.quotas.time"):
            patch.setattr(place, self)

    def time(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def test_quota_is_granted_as_long_as_it_lasts(clock):
    quotas = Quotas()
    left = [quotas.per_minute("requests", "alice", 3) for _ in range(4)]
    assert [s.granted for s in left] == [True, True, True, False]
    assert [s.remaining for s in left] == [2, 1, 0, 0]
    assert (left[0].policy, left[0].quota, left[0].window_s) == ("requests", 3, 60)


def test_callers_and_policies_have_quotas_of_their_own(clock):
    quotas = Quotas()
    assert quotas.per_minute("requests", "alice", 1).granted
    assert not quotas.per_minute("requests", "alice", 1).granted
    assert quotas.per_minute("requests", "bob", 1).granted
    assert quotas.per_hour("conformers", "alice", 1).granted


def test_cost_is_taken_whole_or_not_at_all(clock):
    quotas = Quotas()
    assert quotas.per_hour("conformers", "alice", 100, 60).remaining == 40
    refused = quotas.per_hour("conformers", "alice", 100, 50)
    assert (refused.granted, refused.remaining) == (False, 40)
    assert quotas.per_hour("conformers", "alice", 100, 40).granted


@settings(deadline=None, max_examples=100)
@given(
    quota=st.integers(1, 50),
    steps=st.lists(st.tuples(st.floats(0, 45), st.integers(1, 20)), min_size=1, max_size=30),
)
def test_refused_caller_is_granted_when_it_was_told_to_come_back(quota, steps):
    with pytest.MonkeyPatch.context() as patch:
        time, quotas = Clock(patch), Quotas()
        for wait, cost in steps:
            time.now += wait
            cost = min(cost, quota)
            standing = quotas.per_minute("requests", "alice", quota, cost)
            assert 0 <= standing.remaining <= quota
            assert 1 <= standing.reset_s <= 121
            if not standing.granted:
                time.now += standing.reset_s
                assert quotas.per_minute("requests", "alice", quota, cost).granted
