import numpy as np
import pytest

from models.data.blueprints import Wish, build_blueprint
from models.data.quality import measure_backbones
from models.data.residues import PAIR_SIZES, TOKEN_SIZES
from models.evaluation.backbones.model_draws import ModelDraws
from models.options import SampleOptions
from models.pipeline import generate

FAST = SampleOptions(kind="sde", steps=4, schedule="log")


@pytest.fixture(scope="module")
def model(tiny_config, shaken, model_of):
    """An untrained network: no draw of it passes the checks."""
    config = tiny_config(
        token_sizes=TOKEN_SIZES, pair_sizes=PAIR_SIZES, points_per_token=4, anchor=1, offset_std_ang=1.05,
        noise_offset_std_ang=1.05, frames=True, local=True, noise_std_ang=7.5, data_std_ang=7.8,
    )  # fmt: skip
    return model_of(shaken(config), "chain", "none")


def test_first_draws_come_back_though_they_fail(model):
    done = []
    x = ModelDraws(model, FAST, on_done=done.append)(20, 3, 5)
    assert x.shape == (3, 20, 4, 3) and np.isfinite(x).all()
    assert None not in measure_backbones(x).faults
    assert sum(done) == 3


def test_each_draw_is_that_of_its_seed(model):
    draw = ModelDraws(model, FAST, idealise=False)
    np.testing.assert_allclose(draw(20, 3, 5)[2], draw(20, 1, 7)[0], atol=1e-3)


def test_draws_are_those_that_callers_would_get(model):
    wish = Wish(helix=0.5)
    blueprint = build_blueprint("x", 20, wish, keep_failed=True)
    (made,) = generate(model, [blueprint], [2], [1], FAST)
    x = ModelDraws(model, FAST, wish)(20, 2, 1)
    np.testing.assert_allclose(x, [sample.coordinates for sample in made.samples], atol=1e-3)
    assert not np.allclose(x, ModelDraws(model, FAST)(20, 2, 1), atol=1e-3)
