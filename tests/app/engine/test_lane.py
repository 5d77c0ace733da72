import numpy as np
import pytest
import torch

from app.engine.capacity import Capacity
from app.engine.lane import Lane, is_out_of_memory
from app.engine.work import Work
from models.data.guess import guess_all

COSTS = Capacity(1e-3, 1e-5, 0.0, 10**6)


@pytest.fixture
def lane_of(model):
    """A lane with the rows of some tickets of one kind."""

    def build(*tickets):
        works = [Work(ticket, COSTS, lambda brief: guess_all) for ticket in tickets]
        (kind,) = {kind for work in works for kind in work.kinds}
        lane = Lane(model, kind)
        for work in works:
            lane.join(work.take(kind, 99))
        return lane, works

    return build


def test_rows_leave_when_they_are_finished(lane_of, network, ticket):
    lane, _ = lane_of(ticket("CCO", steps=1, seed=1), ticket("CCO", steps=3, seed=2), ticket("CCN", steps=2, seed=3))
    made = [[row.draw.seed for row, _ in lane.step()] for _ in range(3)]
    assert made == [[1], [3], [2]]
    assert (len(lane), lane.step()) == (0, [])
    assert network.batches == [[9, 9, 10], [9, 10], [9]]


def test_structures_have_their_true_size(lane_of, ticket):
    lane, _ = lane_of(ticket("CCO", steps=1), ticket("CCN", steps=1))
    assert [x.shape for _, x in lane.step()] == [(9, 3), (10, 3)]


def test_rows_that_nobody_wants_leave_before_the_step(lane_of, network, ticket):
    lane, (gone, stays) = lane_of(ticket("CCO", steps=4), ticket("CCN", steps=4))
    lane.step()
    gone.ended = True
    lane.step()
    stays.books[0].abandon("stopped")
    assert lane.step() == []
    assert len(lane) == 0
    assert network.batches == [[9, 10], [10]]


def test_rows_that_are_unwanted_before_they_begin_never_do(lane_of, network, ticket):
    lane, (work,) = lane_of(ticket("CCO"))
    work.ended = True
    assert lane.step() == []
    assert (len(lane), network.batches) == (0, [])


def test_split_lane_begins_again_in_halves_that_nobody_joins(lane_of, network, ticket):
    lane, _ = lane_of(ticket("CCO", count=5, steps=2))
    lane.step()
    first, second = lane.split()
    assert (len(first), len(second)) == (2, 3)
    assert not (first.open or second.open)
    assert [row.draw.index for row in first.rows + second.rows] == list(range(5))
    again = [(row.draw.index, x) for half in (first, second) for _ in range(2) for row, x in half.step()]
    assert [k for k, _ in again] == list(range(5))
    whole, _ = lane_of(ticket("CCO", count=5, steps=2))
    whole.step()
    for (_, x), (_, expected) in zip(again, whole.step(), strict=True):
        np.testing.assert_allclose(x, expected, atol=1e-5)


def test_no_row_is_lost_when_a_step_fails(lane_of, network, ticket):
    lane, _ = lane_of(ticket("CCO", count=2, steps=3))
    lane.step()
    late = Work(ticket("CCN", steps=2), COSTS, lambda brief: guess_all)
    lane.join(late.take(lane.kind, 9))
    network.breaks = lambda counts: RuntimeError("no")
    with pytest.raises(RuntimeError):
        lane.step()
    assert len(lane.rows) == 3
    assert sorted(len(half) for half in lane.split()) == [1, 2]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (MemoryError(), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate"), True),
        (RuntimeError("shapes do not match"), False),
    ],
    ids=str,
)
def test_want_of_memory_is_told_from_other_errors(error, expected):
    assert is_out_of_memory(error) == expected
