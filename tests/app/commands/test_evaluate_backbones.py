import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from safetensors.torch import save_file

from app.commands import evaluate_backbones as command
from models.data.backbones import read_backbones
from models.data.blueprints import Wish
from models.data.residues import PAIR_SIZES, TOKEN_SIZES
from models.errors import DataError
from models.experiments.backbone_settings import Setting
from models.networks.denoiser import DenoiserConfig
from models.networks.preconditioning import PreconditionedDenoiser
from models.options import SampleOptions
from models.training.config import TrainConfig, to_json

DATA = Path(__file__).parents[2] / "files" / "backbones.npz"


@pytest.fixture
def samples(tmp_path):
    """Two chains of 64 residues in a file."""
    chains = read_backbones(DATA)
    np.savez(tmp_path / "samples.npz", x_64=np.stack([chains.chain(k) for k in (10, 12)]))
    return tmp_path / "samples.npz"


def test_command_writes_record_page_and_picture(samples, tmp_path, shapespace):
    out = tmp_path / "out"
    words = ["evaluate", "backbones", "--data", str(DATA), "--samples", str(samples), "--out", str(out)]
    assert shapespace(*words, "--max-compared", "2", "--max-searched", "1", "--noise", ".5")[0] == 0
    record = json.loads((out / "backbones.json").read_text())
    rows = {row["name"]: row for row in record["bins"][0]["rows"]}
    assert rows["samples"]["chains"] == 2 and rows["samples"]["passed"]["mean"] == 1
    assert rows["samples"]["novelty"]["nearest_tm"]["mean"] == pytest.approx(1, abs=1e-3)
    assert "validation chains + 0.5 Å noise" in rows
    assert record["samples"] == {"from": "samples.npz", "number": 2}
    assert record["settings"]["noises_ang"] == [0.5] and len(record["data"]["sha256"]) == 64
    assert (out / "backbones.md").read_text().startswith("# Evaluation of backbones")
    assert (out / "backbones.png").stat().st_size > 10_000
    assert imread(out / "gallery.png")[..., :3].min() < 0.5


@pytest.fixture
def run_folder(tmp_path):
    """The folder of a training run, of a network that has learned nothing."""
    network = DenoiserConfig(
        TOKEN_SIZES, PAIR_SIZES, points_per_token=4, anchor=1, channels=16, heads=2, layers=1, pair_channels=4,
        radial=4, expansion=2, offset_std_ang=1.05, noise_offset_std_ang=1.05, frames=True, local=True,
    )  # fmt: skip
    config = TrainConfig(network, prior="chain", prior_std_ang=1.05, coupling="none", bucket_sizes=(64,))
    folder = tmp_path / "run"
    (folder / "checkpoint").mkdir(parents=True)
    (folder / "config.json").write_text(to_json(config))
    save_file(PreconditionedDenoiser(network).state_dict(), folder / "checkpoint" / "average.safetensors")
    return folder


@pytest.mark.parametrize("plain", [(), ("--plain",)])
def test_first_draws_of_a_model_are_measured_and_kept(run_folder, tmp_path, shapespace, plain):
    out = tmp_path / "out"
    words = ["evaluate", "backbones", "--data", str(DATA), "--run", str(run_folder), "--out", str(out), "-n", "2"]
    words += ["--lengths", "60,64", "--steps", "3", "--max-compared", "0", "--max-searched", "0", "--noise", ""]
    assert shapespace(*words, "--seed", "7", "--device", "cpu", *plain)[0] == 0
    record = json.loads((out / "backbones.json").read_text())
    (one,) = record["bins"]
    assert one["rows"][0]["lengths"] == {"60": 2, "64": 2} and one["rows"][0]["passed"]["mean"] == 0
    assert record["samples"]["name"] == "run" and record["samples"]["steps"] == 3
    assert record["samples"]["quotient"] is not bool(plain)
    assert f"quotient {not plain}" in (out / "backbones.md").read_text()
    with np.load(out / "samples.npz") as kept:
        assert kept["x_60"].shape == (2, 60, 4, 3) and np.isfinite(kept["x_64"]).all()


@pytest.mark.parametrize(("words", "told"), [
    (("--samples", "x", "--model", "y"), "either samples or a model"),
    (("--samples", "x", "--plain"), "either samples or a model"),
    ((), "--model or the folder of a training run with --run"),
])  # fmt: skip
def test_one_source_of_samples_is_needed(words, told, shapespace):
    code, _, said = shapespace("evaluate", "backbones", "--data", DATA, "--out", "out", *words)
    assert code == 2 and told in " ".join(said.replace("│", " ").split())


def test_numbers_of_an_option_are_read_or_refused():
    assert command.parse_numbers(".3, .6,", "--noise") == (0.3, 0.6)
    with pytest.raises(DataError, match="--edges is '40;80'"):
        command.parse_numbers("40;80", "--edges")


def test_evaluate_of_molecules_still_asks_for_its_set(shapespace):
    code, _, said = shapespace("evaluate", "--model", "molecules-small")
    assert code == 2 and "--data and --out" in said


def test_settings_of_the_sampler_are_compared(run_folder, tmp_path, monkeypatch, shapespace):
    monkeypatch.setattr(
        "models.experiments.backbone_settings.build_samplers",
        lambda scales, steps, churns: [Setting(f"{scales} {steps}", SampleOptions(kind="sde", steps=2))],
    )
    out = tmp_path / "out"
    words = ["experiment", "samplers", "--data", str(DATA), "--run", str(run_folder), "--out", str(out)]
    assert shapespace(*words, "-n", "2", "--lengths", "94", "--noise-scales", ".3", "--steps", "7")[0] == 0
    record = json.loads((out / "samplers.json").read_text())
    assert [row["name"] for row in record["rows"]] == ["validation chains", "(0.3,) [7]"]
    assert record["settings"] == {"lengths": [94], "of_each_length": 2, "seed": 0}
    assert "(0.3,) [7]" in (out / "samplers.md").read_text()


def test_wishes_are_compared(run_folder, tmp_path, monkeypatch, shapespace):
    monkeypatch.setattr(
        "models.experiments.backbone_settings.build_wishes",
        lambda guidances: [Setting(f"{guidances}", SampleOptions(kind="sde", steps=2, guidance=3.0), wish=Wish(0.5))],
    )
    out = tmp_path / "out"
    words = ["experiment", "wishes", "--data", str(DATA), "--run", str(run_folder), "--out", str(out)]
    assert shapespace(*words, "-n", "2", "--lengths", "94", "--guidances", "1,3")[0] == 0
    record = json.loads((out / "wishes.json").read_text())
    assert [row["name"] for row in record["rows"]] == ["validation chains", "(1.0, 3.0)"]
    assert (out / "wishes.md").read_text().startswith("# Wishes for backbones")


def test_losses_of_runs_are_compared(run_folder, tmp_path, shapespace):
    other = shutil.copytree(run_folder, tmp_path / "plain")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "loss": "plain", "seed": 3}))
    (other / "data.json").write_text('{"sha256": "abc", "kept": 5}')
    out = tmp_path / "out"
    words = ["experiment", "losses", str(other), str(run_folder), "--data", str(DATA), "--out", str(out)]
    assert shapespace(*words, "-n", "2", "--lengths", "94", "--steps", "2", "--seed", "4")[0] == 0
    record = json.loads((out / "losses.json").read_text())
    assert [row["name"] for row in record["rows"]] == ["validation chains", "plain", "run"]
    assert [(run["loss"], run["quotient"]) for run in record["runs"]] == [("plain", False), ("quotient", True)]
    assert record["runs"][0]["data"]["kept"] == 5 and record["runs"][1]["differs"] == ["loss", "seed", "data"]
    assert record["samples"]["seed"] == 4 and record["samples"]["churn"] == pytest.approx(0.2)
    assert "run less plain" in (out / "losses.md").read_text()


def test_one_run_alone_is_refused(run_folder, tmp_path, shapespace):
    words = ["experiment", "losses", str(run_folder), "--data", str(DATA), "--out", str(tmp_path / "out")]
    code, _, said = shapespace(*words)
    assert code == 2 and "two or more" in said
