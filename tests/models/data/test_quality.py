import numpy as np
import pytest

from models.data.quality import REASONS, measure_backbones


def fault(x):
    return measure_backbones(x[None].astype(np.float32)).faults[0]


def test_natural_chains_pass(backbones):
    found = [measure_backbones(backbones.chain(number)[None]) for number in range(len(backbones))]
    assert np.mean([quality.faults[0] is None for quality in found]) > 0.8
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
    buried = native.copy()
    buried[:, 3] = buried[:, 1:3].mean(1)  # every O between CA and C
    assert fault(buried) == "geometry"
    assert fault(native * 0.8) in ("geometry", "clash")
    touching = native.copy()
    touching[30, 3] = touching[5, 0] + 1.0  # an O near an N: no CA is near another
    assert fault(touching) == "clash"
    twisted = native.copy()
    for residue in (10, 20, 30):
        _twist(twisted, residue)
    assert measure_backbones(twisted[None]).twisted[0] == measure_backbones(native[None]).twisted[0] + 3
    assert {fault(x) for x in (broken, nan, native * [-1, 1, 1])} <= set(REASONS)


def _twist(x, residue):
    """Turn the N of the next residue and all after it by a right angle about its bond to C."""
    axis = x[residue + 1, 0] - x[residue, 2]
    axis = axis / np.linalg.norm(axis)
    part = np.concatenate((x[residue + 1, 1:], x[residue + 2 :].reshape(-1, 3))) - x[residue + 1, 0]
    turned = np.cross(axis, part) + axis * (part @ axis)[:, None] + x[residue + 1, 0]
    x[residue + 1, 1:], x[residue + 2 :] = turned[:3], turned[3:].reshape(-1, 4, 3)


def test_measures_do_not_depend_on_place_or_company(native):
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    both = np.stack((native, (native @ turn.T + 7).astype(np.float32)))
    quality = measure_backbones(both)
    for name, value in vars(quality).items():
        if name != "faults":
            np.testing.assert_allclose(value[0], value[1], atol=1e-3, err_msg=name)
    assert quality.rg_ang[0] == pytest.approx(measure_backbones(native[None]).rg_ang[0])
