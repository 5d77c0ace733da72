from dataclasses import replace

import numpy as np
import pytest

from models.data.backbones import read_backbones
from models.experiments.backbone_settings import (
    BASE,
    WISHES,
    build_samplers,
    build_wishes,
    compare_settings,
    settings_to_markdown,
)


@pytest.fixture(scope="module")
def chains(files):
    return read_backbones(files / "backbones.npz")


def test_each_setting_differs_from_the_base_in_one_thing():
    settings = build_samplers((0.2, BASE.noise_scale), (25, BASE.steps), (1.0, BASE.churn))
    names = [setting.name for setting in settings]
    assert len(set(names)) == len(names)
    base = next(setting for setting in settings if setting.options == BASE and setting.idealise)
    for setting in settings:
        ours, theirs = vars(setting.options), vars(base.options)
        differences = {key for key in ours if ours[key] != theirs[key]} | (set() if setting.idealise else {"idealise"})
        assert setting is base or len(differences) == 1 or (len(differences) == 2 and "churn" in differences)


def test_rows_are_measured_beside_natural_chains(chains, chain_model):
    model = chain_model()
    settings = [setting for setting in build_samplers((0.5,), (), ()) if setting.options.kind == "ode"]
    told = []
    found = compare_settings(model, chains, settings, [94], 2, 0, lambda *step: told.append(step))
    rows = found["rows"]
    assert [row["name"] for row in rows] == ["validation chains", *(setting.name for setting in settings)]
    assert rows[0]["passed"]["mean"] == 1 and rows[0]["to_validation"] is None
    assert rows[1]["chains"] == 2 and np.isfinite(rows[1]["to_validation"]["torsions"][0])
    assert told[-1] == ("settings", 1, 1)
    page = settings_to_markdown(
        {**found, "title": "Title", "command": ["x"], "date": "today", "rule": "Rule.", "model": {"name": "m"},
         "data": {}, "machine": {}, "settings": {}}
    )  # fmt: skip
    assert settings[0].name in page and "Rule." in page


def test_every_wish_is_asked_with_every_guidance():
    plain, *asked = build_wishes((1.0, 3.0))
    assert plain.wish.empty and plain.options == BASE
    assert len(asked) == 2 * len(WISHES) == len({setting.name for setting in asked})
    assert {(setting.wish, setting.options.guidance) for setting in asked} == {
        (wish, guidance) for wish in WISHES.values() for guidance in (1.0, 3.0)
    }


def test_wishes_and_guidance_reach_the_network(chains, chain_model):
    settings = [
        setting for setting in build_wishes((1.0, 3.0)) if setting.wish in (WISHES["fold a"], build_wishes(())[0].wish)
    ]
    quick = [replace(setting, options=replace(setting.options, steps=8, churn=0.8)) for setting in settings]
    rows = compare_settings(chain_model(), chains, quick, [94], 2, 0)["rows"][1:]
    means = [row["rg_ratio"]["mean"] for row in rows]
    assert len(means) == 3 == len(set(means))
