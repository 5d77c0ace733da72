"""Engines that serve molecules and backbones at once."""

import numpy as np
import pytest
import torch

from app.engine.ticket import Ticket
from models.data.blueprints import build_blueprint
from models.data.residues import PAIR_SIZES, TOKEN_SIZES
from models.networks.denoiser import DenoiserConfig
from models.networks.preconditioning import PreconditionedDenoiser
from models.options import SampleOptions
from models.pipeline import generate
from models.weights import build_model

SDE = SampleOptions(kind="sde", steps=6, rounds=1)


@pytest.fixture(scope="module")
def backbones():
    torch.manual_seed(0)
    config = DenoiserConfig(
        TOKEN_SIZES, PAIR_SIZES, 4, 1, channels=16, heads=2, layers=1, offset_std_ang=1.05, frames=True, local=True
    )
    module = PreconditionedDenoiser(config).eval().requires_grad_(False)
    training = {"prior": "chain", "prior_std_ang": 1.05, "coupling": "none"}
    return build_model("chains", module, training, {}, torch.device("cpu"))


def probe():
    return build_blueprint("probe", 12, keep_failed=True)


def test_both_models_work_at_once(build, backbones, network):
    engine = build(more={"backbones": (lambda: backbones, probe)})
    assert {name: served.model.name for name, served in engine.served.items()} == {
        "main": "stub",
        "backbones": "chains",
    }
    blueprints = [build_blueprint(str(n), n, keep_failed=True, idealise=n > 20) for n in (30, 14)]
    chains = Ticket(blueprints, [3, 2], [1, 5], SDE, model="backbones")
    molecules = Ticket([network.learn("CCO")], [4], [0], SampleOptions(steps=4, rounds=1))
    for ticket in (chains, molecules):
        engine.submit(ticket)
    (ethanol,) = molecules.future.result(300)
    assert ethanol.status == "ok"
    made, expected = chains.future.result(300), generate(backbones, blueprints, [3, 2], [1, 5], SDE)
    for one, other in zip(made, expected, strict=True):
        assert (one.id, one.status, len(one.samples)) == (other.id, other.status, len(other.samples))
        assert len(one.samples) > 0
        for mine, theirs in zip(one.samples, other.samples, strict=True):
            assert mine.seed == theirs.seed
            np.testing.assert_allclose(mine.coordinates, theirs.coordinates, atol=2e-3)


def test_a_model_that_is_not_there_is_not_served(build):
    engine = build(more={"backbones": (lambda: None, probe)})
    assert list(engine.served) == ["main"]
    assert engine.ready
