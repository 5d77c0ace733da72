from hypothesis import given, settings
from hypothesis import strategies as st

from models.training.order import BatchOrder

BUCKETS = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 12)), min_size=1, max_size=4)


def listed(order, steps):
    return [(bucket, rows.tolist()) for bucket, rows in (order.batch(step) for step in steps)]


@settings(deadline=None)
@given(BUCKETS, st.integers(0, 2**40))
def test_pass_holds_every_conformer_at_most_once(buckets, seed):
    members, sizes = zip(*buckets, strict=True)
    order = BatchOrder(list(members), list(sizes), seed)
    for number in range(3):
        seen = [
            (bucket, row)
            for bucket, rows in listed(order, range(number * order.per_pass, (number + 1) * order.per_pass))
            for row in rows
        ]
        assert len(seen) == len(set(seen))
        assert all(0 <= row < members[bucket] for bucket, row in seen)
        for bucket, (count, size) in enumerate(buckets):
            missing = count - sum(1 for b, _ in seen if b == bucket)
            assert 0 <= missing < min(size, count)


@settings(deadline=None)
@given(BUCKETS, st.integers(0, 1000))
def test_batch_is_a_function_of_seed_and_step(buckets, seed):
    members, sizes = (list(column) for column in zip(*buckets, strict=True))
    steps = range(2 * BatchOrder(members, sizes, seed).per_pass)
    forward = listed(BatchOrder(members, sizes, seed), steps)
    backward = listed(BatchOrder(members, sizes, seed), reversed(steps))
    assert forward == backward[::-1]


def test_passes_and_seeds_are_shuffled_differently():
    first = BatchOrder([100], [10], 0)
    other = BatchOrder([100], [10], 1)
    assert listed(first, range(10)) != listed(first, range(10, 20))
    assert listed(first, range(10)) != listed(other, range(10))


def test_batches_come_from_one_bucket_and_are_mixed():
    order = BatchOrder([40, 60], [4, 6], 3)
    buckets = [bucket for bucket, _ in listed(order, range(order.per_pass))]
    assert sorted(buckets) == [0] * 10 + [1] * 10
    assert buckets != sorted(buckets)
    assert {len(rows) for bucket, rows in listed(order, range(20)) if bucket == 0} == {4}


def test_every_conformer_is_seen_in_some_pass():
    order = BatchOrder([7], [3], 0)
    assert {row for _, rows in listed(order, range(40)) for row in rows} == set(range(7))
