import itertools
import time

import pytest
import torch
from torch import nn

from models.networks.preconditioning import PreconditionedDenoiser
from models.training.cost import TrainingCost, _random_input, matrix_ceiling, measure_training

CPU = torch.device("cpu")


def test_operations_are_those_of_the_matrices(train_config, tiny_config):
    """Twice the matrices means about twice the operations; a step that guesses first has a third more."""
    costs = [
        measure_training(
            train_config(network=tiny_config(layers=layers), self_conditioning_share=share), 12, CPU, 1,
            time.perf_counter, False,
        )
        for layers, share in ((4, 0.0), (8, 0.0), (4, 1.0))
    ]  # fmt: skip
    assert 1.7 < costs[1].flops / costs[0].flops < 2.1
    assert costs[2].flops / costs[0].flops == pytest.approx(4 / 3, abs=0.05)
    assert costs[0].batch == 80 // 12


def test_guess_costs_the_matrix_products_of_one_evaluation(train_config, tiny_config):
    """Counted again by hand: every linear layer, and logits, values and positions of every attention."""
    network, size = tiny_config(layers=3), 12
    costs = [
        measure_training(
            train_config(network=network, self_conditioning_share=share), size, CPU, 1, time.perf_counter, False
        )
        for share in (0.0, 1.0)
    ]
    count = costs[0].batch
    attention = 2 * count * network.layers * size**2 * (2 * network.channels + 3 * network.heads)
    linear = []
    module = PreconditionedDenoiser(network)
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            layer.register_forward_hook(lambda own, _, out: linear.append(2 * own.in_features * out.numel()))
    batch, x, t = _random_input(network, count, size, CPU)
    module(batch, x, t)
    assert costs[1].flops - costs[0].flops == sum(linear) + attention


def test_median_of_the_steps_counts(train_config, tiny_config):
    config = train_config(network=tiny_config(), self_conditioning_share=0.5)
    steps = [50.0, 9.0, 2.0, 1.0, 3.0, 70.0, 9.0, 4.0, 5.0, 6.0]  # two of each kind warm up
    times = itertools.accumulate(part for seconds in steps for part in (0.0, seconds))
    assert measure_training(config, 9, CPU, 3, lambda: next(times), False).step_s == pytest.approx(0.5 * 2 + 0.5 * 5)


def test_rate_is_operations_over_time():
    assert TrainingCost(20, 4, 3e9, 1.5).flops_per_s == pytest.approx(2e9)


def test_ceiling_takes_the_best_product():
    times = itertools.accumulate([0.0, 5.0, 0.0, 5.0, 0.0, 4.0, 0.0, 2.0, 0.0, 3.0])
    assert matrix_ceiling(CPU, torch.float32, 3, lambda: next(times), size=8) == pytest.approx(2 * 8**3 / 2.0)
