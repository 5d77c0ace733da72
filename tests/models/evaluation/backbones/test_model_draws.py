from dataclasses import replace

import numpy as np
import pytest

from models.data.blueprints import Wish, build_blueprint
from models.data.quality import measure_backbones
from models.evaluation.backbones.model_draws import DrawCount, ModelDraws
from models.options import SampleOptions
from models.pipeline import generate

FAST = SampleOptions(kind="sde", steps=4, schedule="log")


@pytest.fixture(scope="module")
def model(chain_model):
    return chain_model()


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


def test_draws_off_the_quotient_are_others(model):
    one, other = (ModelDraws(model, replace(FAST, quotient=quotient))(20, 1, 1) for quotient in (True, False))
    assert np.isfinite(other).all() and not np.allclose(one, other, atol=1e-3)


def test_count_adds_up_what_is_done():
    told = []
    count = DrawCount("sampling", 5, lambda *step: told.append(step))
    count(2)
    count(3)
    assert told == [("sampling", 2, 5), ("sampling", 5, 5)]
