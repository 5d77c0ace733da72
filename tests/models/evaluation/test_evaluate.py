"""The whole command on three molecules and a network that knows nothing yet."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from app.commands import evaluate as command
from models.data.features import PAIR_SIZES, TOKEN_SIZES
from models.data.molecule import build_molecules, read_smiles
from models.errors import DataError
from models.evaluation.baseline import embed
from models.evaluation.report import to_markdown
from models.networks.denoiser import DenoiserConfig
from models.networks.preconditioning import PreconditionedDenoiser
from models.training.config import TrainConfig, to_json

SMILES = ("CCO", "C[C@H](F)Cl", "C/C=C/F")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    mols = [build_molecules(read_smiles(smiles), 0)[0].mol for smiles in SMILES]
    x = [embed(mol, 2, 3, 20)[0] for mol in mols]
    np.savez(
        tmp_path / "test.npz",
        smiles=np.array(SMILES),
        natom=np.array([mol.GetNumAtoms() for mol in mols]),
        nconf=np.array([2, 2, 2]),
        z=np.concatenate([[atom.GetAtomicNum() for atom in mol.GetAtoms()] for mol in mols]).astype(np.uint8),
        pos=np.concatenate([part.reshape(-1, 3) for part in x]).astype(np.float32),
    )
    return tmp_path / "test.npz"


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    config = TrainConfig(
        DenoiserConfig(TOKEN_SIZES, PAIR_SIZES, channels=16, heads=2, layers=1, pair_channels=4, radial=4)
    )
    torch.manual_seed(0)
    folder = tmp_path / "tiny"
    (folder / "checkpoint").mkdir(parents=True)
    (folder / "config.json").write_text(to_json(config))
    save_file(PreconditionedDenoiser(config.network).state_dict(), folder / "checkpoint" / "average.safetensors")
    return folder


def test_command_writes_record_tables_and_curves(data: Path, run_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = command.SampleOptions(steps=3, rounds=2)
    config = command.EvaluationConfig(thresholds_ang=command.parse_thresholds(".5,.1"), processes=1)
    command.run(data, None, tmp_path, run_folder, options, config, "cpu", out)
    record = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))
    assert [row["name"] for row in record["rows"]] == [
        "model, first draw",
        "model, served",
        "ETKDGv3",
        "ETKDGv3 + MMFF94s",
    ]
    first, served, raw, _ = record["summary"]
    assert first["samples"] == first["requested"] == raw["samples"] == 12
    assert served["samples"] + sum(served["failures"].values()) >= 3  # nothing disappears
    assert list(raw["coverage"]) == ["0.1", "0.5"] and raw["coverage"]["0.5"]["recall"]["mean"] == 1.0
    assert record["model"]["name"] == "tiny" and record["data"]["file"] == "test.npz"
    assert record["settings"]["steps"] == 3 and record["machine"]["device"] == "cpu"
    assert to_markdown(record) in (out / "evaluation.md").read_text(encoding="utf-8")
    assert (out / "evaluation.png").read_bytes().startswith(b"\x89PNG")


def test_one_of_model_and_run_is_needed(data: Path, run_folder: Path, tmp_path: Path) -> None:
    options, config = command.SampleOptions(steps=1), command.EvaluationConfig()
    for name, folder in ((None, None), ("small", run_folder)):
        with pytest.raises(DataError, match=r"--model or .* --run"):
            command.run(data, name, tmp_path, folder, options, config, "cpu", tmp_path / "out")


def test_run_without_checkpoint_is_refused(run_folder: Path) -> None:
    (run_folder / "checkpoint" / "average.safetensors").unlink()
    with pytest.raises(DataError, match=r"average\.safetensors is missing"):
        command.load_run(run_folder, torch.device("cpu"))


def test_thresholds_are_read_and_sorted() -> None:
    assert command.parse_thresholds(".5, .05,.5") == (0.05, 0.5)
    with pytest.raises(DataError, match="half"):
        command.parse_thresholds("half")
