import numpy as np
import pytest

from models.data.quality import measure_backbones
from models.evaluation.backbones.chains import Group, with_noise
from models.evaluation.backbones.histograms import count
from models.evaluation.backbones.rows import MEASURES, describe, describe_change, fields, measure


def test_measures_are_those_of_the_service(some):
    one = measure(some)
    quality = measure_backbones(some.chains[2][None])
    assert one.values["favoured"][2] == pytest.approx(quality.favoured[0])
    assert one.values["outliers"][2] == pytest.approx(1 - quality.allowed[0])
    assert one.faults[2] == quality.faults[0]
    assert set(one.values) == set(MEASURES) and one.passed.sum() == sum(fault is None for fault in one.faults)


def test_row_tells_mean_and_interval_over_finite_chains(some):
    broken = Group("samples", (*some.chains, np.full((50, 4, 3), np.nan)))
    row = measure(broken)
    told = describe(row, measure(some), count(some), itself=False)
    assert told["chains"] == 7 and told["faults"]["not_finite"] == 1 and told["lengths"][64] == 2
    assert told["favoured"]["mean"] == pytest.approx(row.values["favoured"][:6].mean())
    assert told["passed"]["mean"] == pytest.approx(row.passed.mean())
    assert told["to_validation"]["torsions"][0] == pytest.approx(0, abs=1e-9)
    assert told["to_test"]["composition"][0] < 0.02  # the broken chain counts as coil


def test_noise_is_further_from_nature(some):
    noisy = measure(with_noise(some, 0.5, 0))
    told = describe(noisy, measure(some), count(some), itself=False)
    assert told["to_validation"]["torsions"][0] > 0.2 and told["to_validation"]["rg"][0] < 0.5
    assert describe(noisy, noisy, count(some), itself=True)["to_validation"] is None


def test_fields_of_nothing_are_none():
    assert fields([]) is None and fields([True, False])["mean"] == 0.5


def test_change_of_a_row_is_the_mean_over_its_chains(some):
    natural, noisy = measure(some), measure(with_noise(some, 0.3, 0))
    change = describe_change(noisy, natural, natural, count(some))
    assert change["name"] == "some + 0.3 Å noise less some" and change["chains"] == 6
    assert change["favoured"]["mean"] == pytest.approx((noisy.values["favoured"] - natural.values["favoured"]).mean())
    assert change["passed"]["mean"] == noisy.passed.mean() - natural.passed.mean() < 0
    assert change["favoured"]["high"] < 0 < change["to_validation"]["torsions"][1]
    told = describe(noisy, natural, count(some), itself=False)
    assert change["to_validation"]["rg"][0] == pytest.approx(told["to_validation"]["rg"][0])  # less 0
    same = describe_change(natural, natural, natural, count(some))
    assert same["rg_ratio"]["low"] == same["rg_ratio"]["high"] == 0 and same["to_test"]["composition"] == (0, 0, 0)


def test_change_leaves_out_chains_that_are_not_finite_in_both(some):
    broken = Group("broken", (np.full_like(some.chains[0], np.nan), *some.chains[1:]))
    change = describe_change(measure(broken), measure(some), measure(some), count(some))
    assert change["rg_ratio"]["count"] == 5 and change["rg_ratio"]["mean"] == 0
    assert change["passed"]["count"] == 6 and change["passed"]["mean"] < 0
