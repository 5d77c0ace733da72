import json
from pathlib import Path

import pytest

from models.errors import DataError
from models.training.config import from_dict, network_from_dict, read_config, to_json


def test_config_survives_its_json(tmp_path, train_config):
    config = train_config(loss="plain", seed=7, bucket_sizes=(5, 9, 30), half="off", prior="gaussian", coupling="none")
    assert from_dict(json.loads(to_json(config))) == config
    (tmp_path / "config.json").write_text(to_json(config))
    assert read_config(tmp_path / "config.json") == config
    assert isinstance(read_config(tmp_path / "config.json").network.token_sizes, tuple)


def test_config_that_is_left_out_takes_its_default(train_config):
    values = {"network": json.loads(to_json(train_config()))["network"]}
    assert from_dict(values).bucket_sizes == (20, 29)
    assert from_dict(values).loss == "quotient"
    assert network_from_dict(values["network"]) == train_config().network


CONFIGS = sorted(
    path
    for path in (Path(__file__).parents[3] / "weights" / "configs").glob("*.json")
    if "loss" in json.loads(path.read_text())
)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_configurations_that_are_shipped_can_be_trained_with(path):
    assert {
        "backbones-small",
        "backbones-small-contacts",
        "backbones-small-further",
        "backbones-small-longer",
        "backbones-losses",
        "molecules-small",
    } <= {path.stem for path in CONFIGS}
    values = json.loads(path.read_text())
    written = json.loads(to_json(read_config(path)))
    assert {name: written[name] for name in values if name != "network"} == {
        name: value for name, value in values.items() if name != "network"
    }


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("loss", "huber", "quotient, plain, aligned"),
        ("coupling", "ot", "kabsch, none"),
        ("prior", "uniform", "gaussian, harmonic, chain"),
        ("metric", "log", "flat, chain, contact"),
        ("half", "yes", "auto, on, off"),
    ],
)
def test_unknown_word_is_refused_with_the_allowed_ones(train_config, name, value, allowed):
    with pytest.raises(DataError) as caught:
        train_config(**{name: value})
    assert str(caught.value) == f"{name} is '{value}'; allowed: {allowed}"


@pytest.mark.parametrize(("name", "word"), [("prior", "chain"), ("metric", "chain"), ("metric", "contact")])
def test_chain_settings_need_backbones(train_config, name, word):
    with pytest.raises(DataError, match="need backbones, with 4 points per token"):
        train_config(**{name: word})


@pytest.mark.parametrize("changes", [{"automorphisms": -1}, {"automorphisms": 50, "coupling": "none"}])
def test_automorphisms_need_a_coupling(train_config, changes):
    with pytest.raises(DataError, match="automorphisms is"):
        train_config(**changes)
    assert train_config(automorphisms=50).coupling == "kabsch"


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1])
def test_share_of_the_decay_is_a_share(train_config, share):
    with pytest.raises(DataError, match="decay_share"):
        train_config(decay_share=share)


def test_unknown_settings_are_named(train_config):
    values = json.loads(to_json(train_config()))
    with pytest.raises(DataError, match="unknown training settings: batch, lr"):
        from_dict({**values, "lr": 1, "batch": 2})


def test_unknown_network_settings_are_named(train_config):
    values = json.loads(to_json(train_config()))
    values["network"]["depth"] = 3
    with pytest.raises(DataError, match="depth"):
        from_dict(values)


def test_missing_network_is_named(train_config):
    with pytest.raises(DataError, match="network"):
        from_dict({"loss": "plain"})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"warm_share": 1.5}, "warm_share is 1.5; allowed: 0 to 1"),
        ({"warm_share": 0.5}, "warm_starts off; turn it on"),
        ({"warm_earliest": 0.9, "warm_latest": 0.6}, "the earliest first"),
        ({"repeats": {"qm9": 0}}, "allowed: 1 or more for each file"),
        ({"embed_guesses": -1}, "embed_guesses is -1"),
    ],
)
def test_warm_starts_that_make_no_sense_are_refused(train_config, changes, words):
    with pytest.raises(DataError, match=words):
        train_config(**changes)


def test_cards_of_shipped_weights_name_no_place_on_somebodys_machine():
    weights = Path(__file__).parents[3] / "weights"
    pages = [weights / "registry.json", *weights.glob("*.md"), *CONFIGS]
    assert len(pages) > 5
    assert [page.name for page in pages if '"/' in page.read_text()] == []
