import hashlib
import json
from dataclasses import asdict, replace

import pytest
import torch
from safetensors.torch import save

from models.data.batch import pad
from models.errors import BackboneError, SamplerError, WeightsError
from models.weights import find_weights, load_model, pick_device, read_registry, save_model

CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path, tiny_config, shaken):
    """A registry with one model."""
    config = tiny_config()
    content = save(shaken(config).state_dict())
    (tmp_path / "tiny.safetensors").write_bytes(content)
    card = {
        "file": "tiny.safetensors",
        "sha256": hashlib.sha256(content).hexdigest(),
        "network": asdict(config),
        "training": {"prior": "harmonic", "prior_std_ang": 1.3, "coupling": "kabsch"},
    }
    (tmp_path / "registry.json").write_text(json.dumps({"models": {"tiny": card, "lost": {**card, "file": "no"}}}))
    return tmp_path


def test_registered_model_is_loaded_as_it_was_saved(folder, tiny_config, shaken, molecule_of):
    model = load_model("tiny", folder, CPU)
    assert (model.name, model.prior_kind, model.prior_std_ang, model.coupling) == ("tiny", "harmonic", 1.3, "kabsch")
    assert model.card["file"] == "tiny.safetensors"
    assert model.module.config == tiny_config()
    assert not model.module.training
    assert not any(p.requires_grad for p in model.module.parameters())
    batch, x, t = pad([molecule_of("C").features]), torch.randn(1, 5, 3), torch.tensor([0.5])
    assert torch.equal(model.module(batch, x, t), shaken(tiny_config())(batch, x, t))
    noise = torch.randn(1, 5, 3)
    start = model.prior(noise, batch.token_mask, batch.bonded)
    assert start.shape == (1, 5, 3)
    assert start.sum(1).abs().max() < 1e-4


def test_saved_model_is_found_and_loaded(tmp_path, tiny_config, shaken):
    card = {"network": asdict(tiny_config()), "training": {"prior": "gaussian", "prior_std_ang": 1, "coupling": "none"}}
    for name, seed in (("a", 0), ("b", 1), ("a", 2)):  # the last replaces the first
        entry = save_model(name, tmp_path, shaken(tiny_config(), seed).state_dict(), card)
        assert entry["bytes"] == (tmp_path / entry["file"]).stat().st_size
    assert sorted(read_registry(tmp_path)) == ["a", "b"]
    for name, seed in (("a", 2), ("b", 1)):
        found, path = find_weights(name, tmp_path)
        assert (found["file"], path) == (f"{name}.safetensors", tmp_path / f"{name}.safetensors")
        state = load_model(name, tmp_path, CPU).module.state_dict()
        expected = shaken(tiny_config(), seed).state_dict()
        assert all(torch.equal(state[key], expected[key]) for key in expected)


def test_checksum_is_that_of_the_file_whatever_the_card_says(folder, tiny_config, shaken):
    card = read_registry(folder)["tiny"]
    save_model("tiny", folder, shaken(tiny_config(), 5).state_dict(), card)
    assert load_model("tiny", folder, CPU).name == "tiny"


def test_device_is_picked_by_name():
    assert pick_device("cpu") == CPU
    assert pick_device("auto").type in ("cpu", "cuda")


def test_missing_registry_says_where_and_how_to_set_it(tmp_path):
    with pytest.raises(WeightsError) as caught:
        read_registry(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "--weights or SHAPESPACE_WEIGHTS" in str(caught.value)


def test_unknown_model_is_answered_with_the_registered_ones(folder):
    with pytest.raises(WeightsError, match="unknown model 'other'; registered: lost, tiny"):
        load_model("other", folder, CPU)


def test_missing_file_is_named(folder):
    with pytest.raises(WeightsError, match=r"no is missing; the registry names it for 'lost'"):
        load_model("lost", folder, CPU)


def test_changed_file_is_refused(folder):
    path = folder / "tiny.safetensors"
    registered = hashlib.sha256(path.read_bytes()).hexdigest()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(WeightsError) as caught:
        load_model("tiny", folder, CPU)
    assert registered[:16] in str(caught.value)
    assert hashlib.sha256(content).hexdigest()[:16] in str(caught.value)
    assert caught.value.reason == "weights_unavailable"


def test_registry_that_is_no_json_is_refused(folder):
    (folder / "registry.json").write_text("{")
    with pytest.raises(WeightsError, match="registry"):
        load_model("tiny", folder, CPU)


@pytest.mark.parametrize(("prior", "coupling"), [("harmonic", "none"), ("gaussian", "kabsch"), ("harmonic", "kabsch")])
def test_sde_is_refused_where_there_is_no_score(model_of, tiny_config, shaken, prior, coupling):
    model = model_of(shaken(tiny_config()), prior, coupling)
    with pytest.raises(SamplerError) as caught:
        model.check_sampler("sde")
    for word in ("'tiny'", prior, coupling, "score", "Use 'ode' or 'heun'"):
        assert word in str(caught.value)
    model.check_sampler("ode")
    model.check_sampler("heun")


def test_sde_is_allowed_for_an_uncoupled_gaussian(model_of, tiny_config, shaken):
    model_of(shaken(tiny_config()), "gaussian", "none").check_sampler("sde")


def test_lengths_are_those_of_the_card(chain_model):
    model = replace(chain_model(), card={"training": {"lengths": [40, 128]}})
    assert model.lengths == (40, 128)
    for length in (40, 128):
        model.check_length(length)
    for length in (39, 129):
        with pytest.raises(BackboneError, match=rf"length is {length}; model 'tiny' was trained on 40 to 128 residues"):
            model.check_length(length)


@pytest.mark.parametrize("card", [{}, {"training": {}}, {"training": {"lengths": None}}])
def test_model_without_lengths_samples_no_backbones(chain_model, card):
    model = replace(chain_model(), card=card)
    with pytest.raises(WeightsError, match=r"'tiny' samples no backbones: its card has no training\.lengths"):
        model.check_length(64)
