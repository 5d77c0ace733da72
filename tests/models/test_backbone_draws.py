from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from models.data.backbones import read_backbones
from models.data.blueprints import build_blueprint
from models.data.residues import PAIR_SIZES, TOKEN_SIZES
from models.errors import SamplerError
from models.geometry.alignment import align, rmsd
from models.options import STRUCTURE, SampleOptions
from models.pipeline import generate

FAST = SampleOptions(kind="sde", steps=10, rounds=1)
SHAPE = {
    "token_sizes": TOKEN_SIZES, "pair_sizes": PAIR_SIZES, "points_per_token": 4, "anchor": 1, "offset_std_ang": 1.05,
    "noise_offset_std_ang": 1.05, "frames": True, "local": True, "noise_std_ang": 7.5, "data_std_ang": 7.8,
}  # fmt: skip


class Native(nn.Module):
    """Stands for a perfect network that knows one chain: its guess is that chain, turned onto what it is shown."""

    def __init__(self, config, x, wrong=lambda x: x):
        super().__init__()
        self.config, self.x, self.wrong = config, x, wrong

    def forward(self, batch, x, t, guess=None, half=False, begin=None):
        mask = batch.point_mask(4)
        padded = torch.zeros_like(x)
        padded[:, : len(self.x)] = self.wrong(self.x)
        return align(padded, x, mask)


@pytest.fixture(scope="module")
def native(files):
    return read_backbones(files / "backbones.npz").chain(0).astype(np.float32)


@pytest.fixture(scope="module")
def config(tiny_config):
    return tiny_config(**SHAPE)


@pytest.fixture(scope="module")
def perfect(config, native, model_of):
    return model_of(Native(config, torch.from_numpy(native.reshape(-1, 3))), "chain", "none")


@pytest.fixture(scope="module")
def rough(config, shaken, model_of):
    return model_of(shaken(config), "chain", "none")


def distance(a, b):
    points = [torch.from_numpy(x.reshape(1, -1, 3)) for x in (a, b)]
    return rmsd(*points, torch.ones(1, points[0].shape[1], dtype=torch.bool)).item()


def test_samples_are_checked_and_reported(perfect, native):
    (made,) = generate(perfect, [build_blueprint("a", len(native))], [3], [7], FAST)
    assert (made.id, made.length, made.status, made.reason, made.detail) == ("a", len(native), "ok", None, "")
    assert [sample.seed for sample in made.samples] == [7, 8, 9]
    for sample in made.samples:
        assert sample.coordinates.shape == (len(native), 4, 3)
        assert sample.quality.passed
        assert sample.attempts == 1
        assert sample.motif_rmsd_ang is None
        assert distance(sample.coordinates, native) < 0.2


def test_a_mirror_image_is_not_returned(config, native, model_of):
    mirror = model_of(Native(config, torch.from_numpy(native.reshape(-1, 3)), lambda x: -x), "chain", "none")
    blueprint = build_blueprint("a", len(native))
    (made,) = generate(mirror, [blueprint], [2], [0], replace(FAST, rounds=2))
    assert (made.status, made.reason, made.samples) == ("failed", "wrong_hand", ())
    assert "2 of 2 samples are missing after 4 draws" in made.detail
    (kept,) = generate(mirror, [replace(blueprint, keep_failed=True)], [2], [0], FAST)
    assert kept.status == "ok"
    assert [(s.quality.passed, s.quality.fault) for s in kept.samples] == [(False, "wrong_hand")] * 2


def test_structures_that_are_not_finite_are_never_returned(config, native, model_of):
    nan = Native(config, torch.from_numpy(native.reshape(-1, 3)), lambda x: x * float("nan"))
    broken = model_of(nan, "chain", "none")
    (made,) = generate(broken, [build_blueprint("a", len(native), keep_failed=True)], [1], [0], FAST)
    assert (made.status, made.reason) == ("failed", "not_finite")


def test_same_seed_same_structure_whoever_shares_the_batch(rough):
    options = replace(FAST, steps=4)
    blueprints = [build_blueprint(str(n), n, keep_failed=True, idealise=False) for n in (20, 33, 12)]
    together = generate(rough, blueprints, [2, 3, 1], [5, 0, 9], options)
    (alone,) = generate(rough, blueprints[1:2], [1], [2], options)
    shared = next(s for s in together[1].samples if s.seed == 2)
    np.testing.assert_allclose(alone.samples[0].coordinates, shared.coordinates, atol=2e-3)
    assert distance(shared.coordinates, together[1].samples[0].coordinates) > 1.0


def test_motif_keeps_its_shape(rough, native):
    fixed = np.zeros(len(native), dtype=bool)
    fixed[10:22] = fixed[40:45] = True
    blueprint = build_blueprint("a", len(native), fixed=fixed, motif=native + 50, keep_failed=True)
    free = build_blueprint("b", len(native), keep_failed=True)
    held, loose = generate(rough, [blueprint, free], [2, 1], [0, 0], replace(FAST, steps=5))
    for sample in held.samples:
        assert sample.motif_rmsd_ang < 0.01
        assert distance(sample.coordinates[fixed], native[fixed]) == pytest.approx(sample.motif_rmsd_ang, abs=1e-3)
    assert distance(loose.samples[0].coordinates[fixed], native[fixed]) > 1.0


def test_samples_lie_where_the_motif_lay(rough, native):
    fixed = np.zeros(len(native), dtype=bool)
    fixed[10:22] = True
    for shift in (50, 3000):
        blueprint = build_blueprint("a", len(native), fixed=fixed, motif=native + shift, keep_failed=True)
        (held,) = generate(rough, [blueprint], [1], [0], replace(FAST, steps=5))
        x = held.samples[0].coordinates
        assert np.abs(x[fixed] - native[fixed] - shift).max() < 0.02


def test_partial_diffusion_stays_near_its_start(rough, native):
    blueprint = build_blueprint("a", len(native), start=native, keep_failed=True, idealise=False)
    away = []
    for at in (0.97, 0.5):
        options = SampleOptions(kind="ode", steps=1, start=STRUCTURE, start_time=at, rounds=1)
        (made,) = generate(rough, [blueprint], [1], [0], options)
        away.append(distance(made.samples[0].coordinates, native))
    assert away[0] < 0.5 * away[1]


def test_start_needs_a_structure(rough):
    options = SampleOptions(start=STRUCTURE, start_time=0.5)
    with pytest.raises(SamplerError, match="no structure to begin at"):
        generate(rough, [build_blueprint("a", 20)], [1], [0], options)


def test_idealised_samples_have_ideal_bonds(config, native, model_of):
    noise = 0.3 * torch.randn(4 * len(native), 3, generator=torch.Generator().manual_seed(0))
    shaky = model_of(Native(config, torch.from_numpy(native.reshape(-1, 3)), lambda x: x + noise), "chain", "none")
    made = [
        generate(shaky, [build_blueprint("a", len(native), keep_failed=True, idealise=idealise)], [2], [0], FAST)[0]
        for idealise in (True, False)
    ]
    ideal, raw = (np.mean([s.quality.bond_error_ang for s in e.samples]) for e in made)
    assert ideal < 0.1 * raw
