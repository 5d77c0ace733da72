import json

import numpy as np
import pytest

from models.errors import DataError
from models.evaluation.backbones.selfconsistency import (
    compare_predictions,
    consistency_record,
    consistency_to_markdown,
    pair_names,
)


def test_predictions_belong_to_the_longest_name_that_fits():
    pairs = pair_names(["a", "a_1", "b"], ["a", "a_1", "a_1_seq2", "a_2", "b-0", "b.best"])
    assert pairs == {"a": ["a", "a_2"], "a_1": ["a_1", "a_1_seq2"], "b": ["b-0", "b.best"]}
    with pytest.raises(DataError, match="'ab' belongs to no sample"):
        pair_names(["a", "b"], ["ab"])


def test_nearest_prediction_counts_wherever_it_is(some, turned):
    x, y = (chain[:, 1:2] for chain in some.chains[:2])
    near = turned(x + np.random.default_rng(0).normal(0, 0.5, x.shape))
    found, missing = compare_predictions({"x": x, "y": y}, {"x_0": y, "x_1": near})
    assert missing == ["y"]
    (one,) = found
    assert (one.name, one.length, one.predictions, one.best) == ("x", 64, 2, "x_1")
    assert one.rmsd_ang == pytest.approx(0.5 * np.sqrt(3), rel=0.15)


def test_mirror_image_does_not_count(some):
    x = some.chains[0][:, 1:2]
    (one,) = compare_predictions({"x": x}, {"x": x * [-1, 1, 1]})[0]
    assert one.rmsd_ang > 2


def test_predictions_of_another_length_are_refused(some):
    x = some.chains[0][:, 1:2]
    with pytest.raises(DataError, match="'x_1' has 63 residues and its sample 'x' 64"):
        compare_predictions({"x": x}, {"x_1": x[1:]})


def test_page_tells_shares_by_length(some):
    x, y = some.chains[0][:, 1:2], some.chains[2][:, 1:2]
    far = y + np.random.default_rng(0).normal(0, 5, y.shape)
    record = consistency_record(*compare_predictions({"x": x, "y": y, "z": x}, {"x": x, "y": far}), {"date": "today"})
    assert record == json.loads(json.dumps(record, allow_nan=False))
    assert [row["below"]["mean"] for row in record["summary"]] == [0.5, 0.0, 1.0]
    page = consistency_to_markdown(record)
    assert "| length all | 2 | 50.0 [0.0, 100.0] |" in page and "| length 64 | 1 | 100.0" in page
    assert "Without a prediction: 1 (z)." in page


def test_page_of_nothing_has_dashes(some):
    record = consistency_record([], ["x"], {})
    assert "| length all | 0 | - | - | - |" in consistency_to_markdown(record)
