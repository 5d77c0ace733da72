import numpy as np
import pytest

from models.data.backbones import read_backbones
from models.experiments.backbone_samplers import BASE, build_settings, compare_samplers, samplers_to_markdown


@pytest.fixture(scope="module")
def chains(files):
    return read_backbones(files / "backbones.npz")


def test_each_setting_differs_from_the_base_in_one_thing():
    settings = build_settings((0.2, BASE.noise_scale), (25, BASE.steps), (1.0, BASE.churn))
    names = [setting.name for setting in settings]
    assert len(set(names)) == len(names)
    base = next(setting for setting in settings if setting.options == BASE and setting.idealise)
    for setting in settings:
        ours, theirs = vars(setting.options), vars(base.options)
        differences = {key for key in ours if ours[key] != theirs[key]} | (set() if setting.idealise else {"idealise"})
        assert setting is base or len(differences) == 1 or (len(differences) == 2 and "churn" in differences)


def test_rows_are_measured_beside_natural_chains(chains, chain_model):
    model = chain_model()
    settings = [setting for setting in build_settings((0.5,), (), ()) if setting.options.kind == "ode"]
    told = []
    found = compare_samplers(model, chains, settings, [94], 2, 0, lambda *step: told.append(step))
    rows = found["rows"]
    assert [row["name"] for row in rows] == ["validation chains", *(setting.name for setting in settings)]
    assert rows[0]["passed"]["mean"] == 1 and rows[0]["to_validation"] is None
    assert rows[1]["chains"] == 2 and np.isfinite(rows[1]["to_validation"]["torsions"][0])
    assert told[-1] == ("settings", 1, 1)
    page = samplers_to_markdown(
        {**found, "command": ["x"], "date": "today", "rule": "Rule.", "model": {"name": "m"}, "data": {}, "machine": {},
         "settings": {}}
    )  # fmt: skip
    assert settings[0].name in page and "Rule." in page
