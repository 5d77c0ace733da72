import json

import numpy as np
import pytest

from app.intake.backbone_order import BackboneOrder
from models.data.blueprints import Wish
from models.data.motif import read_template
from models.errors import BackboneError
from models.options import build_chain_options


@pytest.fixture
def template(chain_text):
    return read_template(chain_text, "A", ["A10-20"])


def again(order):
    return BackboneOrder.from_values(json.loads(json.dumps(order.to_values())))


def test_order_survives_as_json(tools):
    order = tools.build_backbone_order(12, 20, wish=Wish(helix=0.5, fold="a"), residue="GLY", idealise=True)
    assert again(order) == order


def test_template_survives_to_the_last_bit(tools, template):
    order = tools.build_backbone_order(30, template=template)
    values, found = order.to_values(), again(order)
    assert found.to_values() == values
    assert found.template.coordinates.dtype == np.float32
    np.testing.assert_array_equal(found.template.coordinates, template.coordinates)
    np.testing.assert_array_equal(found.template.fixed, template.fixed)
    assert found.head == order.head


def test_length_that_is_there_again_goes_on_with_the_seeds(tools):
    assert tools.build_backbone_order(12, 20, 12, count=3, seed=5).seeds == [5, 5, 8]


def test_blueprint_is_that_of_its_length(tools):
    order = tools.build_backbone_order(12, 20, idealise=True)
    made = order.blueprint(1)
    assert (made.id, made.length, made.keep_failed, made.idealise) == ("20-2", 20, True, True)
    assert made.start is made.fixed is made.motif is None


def test_template_is_the_start_only_where_paths_begin_there(tools, template):
    order = tools.build_backbone_order(30, template=template)
    assert order.blueprint(0).start is None
    np.testing.assert_array_equal(order.blueprint(0).motif, template.coordinates)
    options = build_chain_options(steps=4, start="structure", start_time=0.5)
    values = {**order.to_values(), "options": vars(options)}
    assert BackboneOrder.from_values(values).blueprint(0).start.shape == (30, 4, 3)


def test_wish_that_cannot_be_is_refused(tools):
    with pytest.raises(BackboneError, match="more than 1 together"):
        tools.build_backbone_order(12, wish=Wish(helix=0.8, strand=0.7)).blueprint(0)
