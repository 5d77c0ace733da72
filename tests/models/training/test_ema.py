import pytest
import torch
from torch import nn

from models.training.ema import WeightAverage


def layer(value):
    module = nn.Linear(1, 1, bias=False)
    nn.init.constant_(module.weight, value)
    return module


def test_average_of_equal_weights_is_the_weight():
    average = WeightAverage(layer(3.0), 0.9)
    for step in range(1, 6):
        average.update(layer(3.0), step)
    assert average.average["weight"].item() == pytest.approx(3.0)


def test_decay_ramps_up_to_its_largest_value():
    average = WeightAverage(layer(0.0), 0.5)
    expected = 0.0
    for step in range(1, 20):
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
        average.update(layer(float(step)), step)
        assert average.average["weight"].item() == pytest.approx(expected, rel=1e-5)


def test_average_is_a_copy_and_without_gradient():
    module = layer(1.0)
    average = WeightAverage(module, 0.9)
    nn.init.constant_(module.weight, 5.0)
    assert average.average["weight"].item() == 1.0
    assert not average.average["weight"].requires_grad
    average.load({"weight": torch.tensor([[2.0]])})
    assert average.average["weight"].item() == 2.0
