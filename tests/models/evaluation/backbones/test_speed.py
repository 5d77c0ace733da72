import itertools

import pytest

from models.errors import DataError
from models.evaluation.backbones.speed import BatchCost, measure_batch
from models.options import SampleOptions

FAST = SampleOptions(kind="ode", steps=3, schedule="log")


def test_cost_of_a_backbone_is_its_share_of_the_median_batch():
    cost = BatchCost(100, 8, 100, (40.0, 16.0, 24.0))
    assert (cost.batch_s, cost.sample_s) == (24.0, 3.0)


def test_whole_batches_are_timed_after_one_that_warms_up(chain_model, monkeypatch):
    made = []
    monkeypatch.setattr(
        "models.evaluation.backbones.speed.ModelDraws",
        lambda model, options: lambda *asked: made.append((options.steps, *asked)),
    )
    times = itertools.accumulate(itertools.cycle([10.0, 3.0]))  # between batches, a batch
    cost = measure_batch(chain_model(), 20, 4, FAST, 2, lambda: next(times), lambda: made.append("done"))
    assert cost == BatchCost(20, 4, 3, (3.0, 3.0))
    assert made == [(2, 20, 4, 0), (3, 20, 4, 0), "done", (3, 20, 4, 4), "done"]


def test_more_than_fit_into_one_batch_are_refused(chain_model):
    with pytest.raises(DataError, match="batch is 15; of 100 residues at most 13"):
        measure_batch(chain_model(), 100, 15, FAST, 1, lambda: 0.0)
