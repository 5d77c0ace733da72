import numpy as np
import pytest

from models.data.quality import REASONS, measure_backbones


def fault(x):
    return measure_backbones(x[None].astype(np.float32)).faults[0]


def test_natural_chains_pass(backbones):
    found = [measure_backbones(backbones.chain(number)[None]) for number in range(len(backbones))]
    assert np.mean([quality.faults[0] is None for quality in found]) > 0.85
    assert np.mean([quality.ca_step_share for quality in found]) > 0.97
    assert np.mean([quality.bond_error_ang for quality in found]) < 0.02
    assert np.mean([quality.trans_share for quality in found]) > 0.98
    assert 0.9 < np.mean([quality.favoured for quality in found]) <= np.mean([quality.allowed for quality in found])
    assert 0.9 < np.mean([quality.rg_ratio for quality in found]) < 1.15


def test_each_fault_is_named(native):
    broken, nan, crossed = native.copy(), native.copy(), native.copy()
    broken[20:] += 5.0
    nan[3, 1, 0] = np.nan
    crossed[30] += crossed[5, 1] - crossed[30, 1] + 1.0
    rough = native + np.random.default_rng(0).normal(0, 0.25, native.shape)
    assert fault(broken) == "chain_break"
    assert fault(nan) == "not_finite"
    assert fault(native * [-1, 1, 1]) == "wrong_hand"
    assert fault(rough) in ("ramachandran", "chain_break")
    assert measure_backbones(crossed[None]).clashes[0] > 0
    assert {fault(x) for x in (broken, nan, native * [-1, 1, 1])} <= set(REASONS)


def test_measures_do_not_depend_on_place_or_company(native):
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    both = np.stack((native, (native @ turn.T + 7).astype(np.float32)))
    quality = measure_backbones(both)
    for name, value in vars(quality).items():
        if name != "faults":
            np.testing.assert_allclose(value[0], value[1], atol=1e-3, err_msg=name)
    assert quality.rg_ang[0] == pytest.approx(measure_backbones(native[None]).rg_ang[0])
