import hashlib
import json
from dataclasses import asdict

import pytest
import torch
from matplotlib.image import imread
from safetensors.torch import save_file

from app import __version__
from app.commands import ship
from models.data import residues
from models.data.features import PAIR_SIZES, TOKEN_SIZES
from models.data.molecule import build_molecules, read_smiles
from models.errors import DataError
from models.networks.denoiser import DenoiserConfig
from models.networks.preconditioning import PreconditionedDenoiser
from models.options import SampleOptions
from models.pipeline import generate
from models.training.config import TrainConfig, to_json
from models.weights import load_model, read_registry

NETWORK = DenoiserConfig(
    TOKEN_SIZES, PAIR_SIZES, channels=16, heads=2, layers=2, pair_channels=8, radial=4, expansion=2
)
PARTS = (
    "run/checkpoint/average.safetensors", "run/checkpoint/progress.json", "run/config.json", "run/data.json",
    "run/log.jsonl", "about.md", "evaluation.json",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A run of a tiny network, a page about it, and an evaluation."""
    monkeypatch.setattr(ship, "to_markdown", lambda record: f"| table of {record['data']['file']} |")
    checkpoint = tmp_path / "run" / "checkpoint"
    checkpoint.mkdir(parents=True)
    save_file(PreconditionedDenoiser(NETWORK).state_dict(), checkpoint / "average.safetensors")
    (checkpoint / "progress.json").write_text(json.dumps({"step": 1234, "elapsed_s": 7200.0, "conformers": 56789}))
    (tmp_path / "run" / "config.json").write_text(to_json(TrainConfig(network=NETWORK)))
    (tmp_path / "run" / "data.json").write_text(
        json.dumps({"sources": ["small.npz"], "kept": 4321, "test_molecule": 99})
    )
    rows = [{"step": k, "conformers": 1000 * k, "loss": 1 / k} for k in range(1, 9)]
    (tmp_path / "run" / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "about.md").write_text("Data: made up. Licence: MIT.\n")
    record = {"data": {"file": "test.npz"}, "summary": [{"name": "model"}], "settings": {}, "rows": [1, 2, 3]}
    (tmp_path / "evaluation.json").write_text(json.dumps(record))
    return tmp_path


def send(folder, name="tiny"):
    weights = folder / "weights"
    ship.run(folder / "run", name, weights, [folder / "evaluation.json"], folder / "about.md")
    return weights


def test_shipped_model_can_be_loaded_and_samples(folder):
    weights = send(folder)
    model = load_model("tiny", weights, torch.device("cpu"))
    assert (model.name, model.prior_kind, model.coupling) == ("tiny", "harmonic", "kabsch")
    (molecule,) = build_molecules(read_smiles("C"), 0)
    (ensemble,) = generate(model, [molecule], [2], [0], SampleOptions(steps=2, rounds=1))
    assert ensemble.attempts == 2


def test_registry_entry_says_where_the_weights_come_from(folder):
    weights = send(folder)
    entry = read_registry(weights)["tiny"]
    content = (weights / "tiny.safetensors").read_bytes()
    assert (entry["file"], entry["bytes"]) == ("tiny.safetensors", len(content))
    assert entry["sha256"] == hashlib.sha256(content).hexdigest()
    assert entry["version"] == __version__
    assert entry["progress"]["step"] == 1234
    assert entry["network"] == json.loads(json.dumps(asdict(NETWORK)))
    assert entry["metrics"] == [{"data": {"file": "test.npz"}, "settings": {}, "summary": [{"name": "model"}]}]
    assert entry["parameters"] == sum(p.numel() for p in PreconditionedDenoiser(NETWORK).state_dict().values())


def test_card_is_for_people(folder):
    weights = send(folder)
    card = (weights / "tiny.md").read_text()
    facts = ["# tiny", "Licence: MIT", "small.npz", "4,321", "56,789", "2.00 h", "tiny-loss.png", '"tokens_per_step"']
    for words in (*facts, "table of test.npz", read_registry(weights)["tiny"]["sha256"]):
        assert words in card
    assert imread(weights / "tiny-loss.png")[..., :3].min() < 0.9
    assert (weights / "runs" / "tiny.jsonl").read_text() == (folder / "run" / "log.jsonl").read_text()


def test_shipping_keeps_other_models_and_replaces_its_own(folder):
    send(folder, "first")
    send(folder, "second")
    weights = send(folder, "first")
    assert set(read_registry(weights)) == {"first", "second"}
    load_model("second", weights, torch.device("cpu"))


@pytest.mark.parametrize("part", PARTS)
def test_run_that_lacks_a_part_is_refused_before_anything_is_written(folder, part):
    (folder / part).unlink()
    with pytest.raises(DataError, match=part.rsplit("/", 1)[-1]):
        send(folder)
    assert not (folder / "weights").exists()


def test_weights_that_are_too_large_are_refused(folder, monkeypatch):
    monkeypatch.setattr(ship, "MAX_BYTES", 1000)
    with pytest.raises(DataError, match="at most 1000"):
        send(folder)


def test_model_without_evaluation_says_so(folder):
    ship.run(folder / "run", "tiny", folder / "weights", [], folder / "about.md")
    assert "Not evaluated." in (folder / "weights" / "tiny.md").read_text()


def test_models_of_backbones_say_which_lengths_they_know(folder, monkeypatch):
    monkeypatch.setattr(ship, "backbones_to_markdown", lambda record: f"| chains of {record['data']['file']} |")
    network = DenoiserConfig(
        residues.TOKEN_SIZES, residues.PAIR_SIZES, 4, 1, channels=16, heads=2, layers=1, offset_std_ang=1.05,
        frames=True, local=True,
    )  # fmt: skip
    config = TrainConfig(network=network, prior="chain", coupling="none", metric="chain", bucket_sizes=(64, 96))
    save_file(PreconditionedDenoiser(network).state_dict(), folder / "run" / "checkpoint" / "average.safetensors")
    (folder / "run" / "config.json").write_text(to_json(config))
    (folder / "run" / "data.json").write_text(
        json.dumps({"sources": ["chains.npz"], "kept": 4321, "test_or_validation": 99})
    )
    record = folder / "backbones" / "backbones.json"
    record.parent.mkdir()
    record.write_text(json.dumps({"data": {"file": "chains.npz"}, "bins": [], "overall": []}))
    record.with_suffix(".png").write_bytes(b"picture")
    weights = folder / "weights"
    ship.run(folder / "run", "tiny", weights, [record], folder / "about.md")
    assert read_registry(weights)["tiny"]["training"]["lengths"] == [40, 96]
    card = (weights / "tiny.md").read_text()
    for words in ("4,321 training chains", "99 of test and validation left out", "chains of chains.npz"):
        assert words in card
    assert (weights / "evaluations" / "tiny-backbones.png").read_bytes() == b"picture"
    assert load_model("tiny", weights, torch.device("cpu")).prior_kind == "chain"
