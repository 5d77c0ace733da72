import json
from functools import partial

import pytest


@pytest.fixture
def call(shapespace, tiny_weights):
    """`shapespace bench backbones` with untrained weights: exit code, what was printed, and what was said."""
    return partial(shapespace, "bench", "backbones", "--weights", tiny_weights, "--device", "cpu", "--threads", "1")


def test_time_of_a_batch_is_printed_and_written(call, tmp_path):
    out = tmp_path / "new" / "bench.json"
    code, printed, said = call("--length", "20", "--batch", "3", "--steps", "4", "--repeats", "2", "--out", str(out))
    assert code == 0, said
    record = json.loads(out.read_text())
    assert [record[name] for name in ("model", "length", "batch", "steps")] == ["backbones-small", 20, 3, 4]
    assert record["sampling"]["kind"] == "sde" and record["machine"]["torch_threads"] == 1
    assert record["batch_s"] == pytest.approx(sum(record["seconds"]) / 2) and min(record["seconds"]) > 0
    assert record["sample_s"] == pytest.approx(record["batch_s"] / 3)
    assert "S PER BACKBONE" in printed and f"{record['sample_s']:.2f}" in printed


def test_length_out_of_range_is_refused(call):
    code, _, said = call("--length", "100")
    assert code == 2 and "trained on 12 to 40 residues" in said
