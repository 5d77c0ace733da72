from dataclasses import replace

import numpy as np
import pytest

from models.errors import DataError, SamplerError
from models.evaluation.backbones.chains import Group
from models.evaluation.backbones.model_draws import ModelDraws
from models.evaluation.backbones.rows import measure
from models.experiments.backbone_losses import RULE, Trained, compare_losses, losses_to_markdown
from models.options import SampleOptions

FAST = SampleOptions(kind="sde", steps=3, schedule="log", churn=0.3)


@pytest.fixture
def trained(chain_model):
    """A run by name, seed of its weights, and loss."""

    def build(name, loss, seed=0, **training):
        card = {"training": {"loss": loss, "seed": 0, **training}, "progress": {"step": 7, "elapsed_s": 2400.4}}
        return Trained(replace(chain_model(seed), name=name, card=card), {"sha256": "a"})

    return build


def test_each_run_is_sampled_as_it_was_trained_and_compared_with_the_first(trained, backbones):
    runs = [trained("one", "plain"), trained("two", "quotient"), trained("three", "plain")]
    told = []
    found = compare_losses(runs, backbones, FAST, [90, 94], 2, 5, True, lambda *step: told.append(step))
    assert [row["name"] for row in found["rows"]] == ["validation chains", "one", "two", "three"]
    assert [run["quotient"] for run in found["runs"]] == [False, True, False]
    for number, run in enumerate(runs):
        draw = ModelDraws(run.model, replace(FAST, quotient=run.loss == "quotient"))
        own = measure(Group("own", tuple(x.astype(np.float64) for length in (90, 94) for x in draw(length, 2, 5))))
        assert found["rows"][1 + number]["each"]["rg_ratio"] == pytest.approx(own.values["rg_ratio"], abs=1e-4)
    two, three = found["differences"]
    assert (two["name"], three["name"]) == ("two less one", "three less one")
    means = [found["rows"][k]["rg_ratio"]["mean"] for k in (1, 2)]
    assert two["rg_ratio"]["mean"] == pytest.approx(means[1] - means[0], abs=1e-9)
    assert two["rg_ratio"]["mean"] != 0 == three["rg_ratio"]["mean"] == three["to_validation"]["torsions"][2]
    assert told[-1] == ("sampling three", 4, 4)


def test_settings_that_runs_do_not_share_are_named(trained):
    first, other = trained("one", "plain", bucket_sizes=(64,)), trained("two", "quotient", bucket_sizes=(96,))
    assert first.differs(first) == []
    assert other.differs(first) == ["loss", "bucket_sizes"]
    assert replace(other, data={"sha256": "b"}).differs(first)[-1] == "data"


def test_page_tells_trainings_samples_and_differences(trained, backbones):
    runs = [trained("one", "plain"), trained("two", "quotient")]
    found = compare_losses(runs, backbones, replace(FAST, kind="ode"), [94], 1, 0)
    page = losses_to_markdown({**found, "command": ["x"], "date": "today", "rule": RULE})
    assert "| one | plain | no | 7 | - | 2,400 | - |" in page
    assert "| two | quotient | yes | 7 | - | 2,400 | loss |" in page
    assert page.count("| two less one | 1 | ") == 1 and RULE in page


def test_runs_that_cannot_be_compared_are_refused(trained, chain_model, backbones, tiny_config, shaken, model_of):
    one = trained("one", "plain")
    with pytest.raises(DataError, match="two or more"):
        compare_losses([one], backbones, FAST, [94], 1, 0)
    with pytest.raises(DataError, match="named 'one'"):
        compare_losses([one, one], backbones, FAST, [94], 1, 0)
    molecules = Trained(replace(model_of(shaken(tiny_config())), name="two", card=one.model.card), {})
    with pytest.raises(DataError, match="'two' is not of backbones"):
        compare_losses([one, molecules], backbones, FAST, [94], 1, 0)
    coupled = replace(one, model=replace(one.model, name="two", coupling="kabsch"))
    with pytest.raises(SamplerError, match="kabsch coupling"):
        compare_losses([one, coupled], backbones, FAST, [94], 1, 0)
