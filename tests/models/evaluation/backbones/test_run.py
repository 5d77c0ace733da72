import numpy as np
import pytest

from models.errors import DataError
from models.evaluation.backbones.chains import Group
from models.evaluation.backbones.rows import NATIVES, SAMPLES, TRAINING
from models.evaluation.backbones.run import BackboneConfig, evaluate_backbones

CONFIG = BackboneConfig(max_compared=3, max_searched=1, max_scored=1, classes=True, core_only=False)


@pytest.fixture(scope="module")
def found(split_chains):
    wanted = np.flatnonzero(split_chains.split == 0)
    chains = [split_chains.chain(int(k)).astype(float) for k in wanted if 56 <= split_chains.lengths[k] < 72]
    broken = chains[0].copy()
    broken[7] = np.nan
    longer = split_chains.chain(2).astype(float)[:100]
    return evaluate_backbones(Group(SAMPLES, (*chains, broken, longer)), split_chains, CONFIG)


def rows_of(part):
    return {row["name"]: row for row in part}


def test_rows_stand_side_by_side_in_every_bin(found):
    assert [(one["low"], one["high"]) for one in found["bins"]] == [(56, 71), (90, 111)]
    for part in (*(one["rows"] for one in found["bins"]), found["overall"]):
        names = [row["name"] for row in part]
        assert names == [SAMPLES, NATIVES, TRAINING, f"{NATIVES} + 0.3 Å noise", f"{NATIVES} + 0.6 Å noise"]
    assert found["test_chains"] == 2


def test_natural_chains_are_near_and_noise_is_far(found):
    rows = rows_of(found["bins"][0]["rows"])
    noisy = rows[f"{NATIVES} + 0.6 Å noise"]
    assert rows[NATIVES]["to_validation"] is None
    for name in ("composition", "torsions"):
        assert rows[TRAINING]["to_validation"][name][0] < noisy["to_validation"][name][0]
        assert rows[SAMPLES]["to_validation"][name][0] < noisy["to_validation"][name][0]
    assert rows[NATIVES]["passed"]["mean"] > noisy["passed"]["mean"] == 0
    assert noisy["faults"] == {"chain_break": noisy["chains"]}


def test_samples_that_are_not_finite_fail_and_are_left_out_of_means(found):
    samples = rows_of(found["bins"][0]["rows"])[SAMPLES]
    assert samples["faults"]["not_finite"] == 1
    assert samples["passed"]["count"] == samples["chains"] == samples["favoured"]["count"] + 1
    assert samples["favoured"]["mean"] > 0.8


def test_nearest_chain_of_a_training_chain_is_itself(found):
    rows = rows_of(found["bins"][0]["rows"])
    assert rows[SAMPLES]["novelty"]["nearest_tm"]["mean"] == pytest.approx(1, abs=1e-3)
    assert rows[SAMPLES]["novelty"]["novel"]["mean"] == 0
    assert rows[NATIVES]["novelty"]["nearest_tm"]["mean"] < 1
    assert "novelty" not in rows[TRAINING] and rows[TRAINING]["diversity"]["chains"] == 3
    assert "diversity" not in rows[f"{NATIVES} + 0.3 Å noise"]


def test_studies_stand_beside_the_rows_that_have_them(found):
    rows = rows_of(found["bins"][0]["rows"])
    assert rows[SAMPLES]["proxy"]["sound"] == 1 and "proxy" not in rows[TRAINING]
    assert rows[f"{NATIVES} + 0.3 Å noise"]["proxy"]["sound"] == 0
    assert sum(rows[SAMPLES]["classes"]["shares"].values()) == pytest.approx(1)
    assert found["classifier"]["trained_on"] > 0 and found["classifier"]["held_out"] > 0
    overall = rows_of(found["overall"])
    assert "classes" in overall[SAMPLES] and "proxy" not in overall[SAMPLES] and "diversity" not in overall[SAMPLES]


def test_bin_without_natural_chains_has_no_figures_to_compare(found):
    rows = rows_of(found["bins"][1]["rows"])
    assert rows[NATIVES]["chains"] == 0 and rows[NATIVES]["passed"] is None
    assert rows[SAMPLES]["chains"] == 1 and set(rows[SAMPLES]["to_validation"].values()) == {None}
    assert rows[SAMPLES]["to_test"]["composition"] is not None


def test_all_lengths_together_are_all_chains(found):
    rows = rows_of(found["overall"])
    parts = [rows_of(one["rows"])[SAMPLES]["chains"] for one in found["bins"]]
    assert rows[SAMPLES]["chains"] == sum(parts) and rows[SAMPLES]["lengths"][100] == 1


def test_samples_outside_of_the_bins_are_refused(split_chains):
    with pytest.raises(DataError, match="outside of the length bins 40 to 256"):
        evaluate_backbones(Group(SAMPLES, (np.zeros((300, 4, 3)),)), split_chains, CONFIG)
