"""The whole command on three molecules and a network that knows nothing yet."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from app.commands import compare as command
from models.data.features import PAIR_SIZES, TOKEN_SIZES
from models.data.molecule import build_molecules, read_smiles
from models.errors import DataError
from models.evaluation.baseline import EMBEDDED, RELAXED, embed
from models.evaluation.benchmark import plan_rows
from models.evaluation.page import to_page
from models.networks.denoiser import DenoiserConfig
from models.networks.preconditioning import PreconditionedDenoiser
from models.training.config import TrainConfig, to_json

LARGE = "CCCCCCCCCC"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two test sets and the folder of a run."""
    folder = tmp_path_factory.mktemp("compare")
    for name, listed in (("small", ("CCO", "C[C@H](F)Cl")), ("large", (LARGE,))):
        mols = [build_molecules(read_smiles(smiles), 0)[0].mol for smiles in listed]
        x = [embed(mol, 1, 3, 20)[0] for mol in mols]
        np.savez(
            folder / f"{name}.npz",
            smiles=np.array(listed),
            natom=np.array([mol.GetNumAtoms() for mol in mols]),
            nconf=np.ones(len(listed), dtype=int),
            z=np.concatenate([[atom.GetAtomicNum() for atom in mol.GetAtoms()] for mol in mols]).astype(np.uint8),
            pos=np.concatenate([part.reshape(-1, 3) for part in x]).astype(np.float32),
        )
    network = DenoiserConfig(TOKEN_SIZES, PAIR_SIZES, channels=16, heads=2, layers=1, pair_channels=4, radial=4)
    torch.manual_seed(0)
    (folder / "tiny" / "checkpoint").mkdir(parents=True)
    (folder / "tiny" / "config.json").write_text(to_json(TrainConfig(network)))
    state = PreconditionedDenoiser(network).state_dict()
    save_file(state, folder / "tiny" / "checkpoint" / "average.safetensors")
    return folder


def compare(place, names=("small", "large"), out="docs", **limits):
    sources = command.pair_sources([place / f"{name}.npz" for name in names], [], [])
    limits = command.Limits(**limits)
    command.run(sources, None, place, place / "tiny", limits, 1, 1, "cpu", 1, place / out, place / "work")
    return json.loads((place / out / "benchmarks.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module", autouse=True)
def _few_rows():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("models.evaluation.benchmark.STEPS", {"noise": (2, 5), "etkdg": (2,)})
        yield


@pytest.fixture(scope="module")
def record(place):
    return compare(place)


def test_page_record_and_figure_are_written(record, place):
    assert [one["title"] for one in record["sets"]] == ["small", "large"]
    for one in record["sets"]:
        assert [row["name"] for row in one["rows"]] == [EMBEDDED, RELAXED, *plan_rows()]
    small, large = record["sets"]
    assert (small["thresholds_ang"], large["thresholds_ang"]) == ([0.5, 0.1], [0.75])
    assert small["published"]["title"].startswith("GEOM-QM9")
    assert large["published"]["title"].startswith("GEOM-DRUGS")
    assert all(row["seconds"] > 0 and row["cpu_seconds"] > 0 for row in small["rows"])
    assert small["rows"][0]["first_draw"]["asked"] == 4 and small["rows"][-1]["options"]["start"] == "etkdg"
    assert record["model"]["name"] == "tiny" and record["machine"]["device"] == "cpu"
    assert (place / "docs" / "benchmarks.md").read_text(encoding="utf-8") == to_page(record)
    assert (place / "docs" / "benchmarks.png").read_bytes().startswith(b"\x89PNG")


def test_rows_that_are_there_are_not_measured_again(record, place, monkeypatch):
    asked = []

    def measure(model, cases, options, *rest):
        asked.append(options.steps)
        return {**json.loads((place / "work" / "small" / "from-noise-5-steps.json").read_text()), "seconds": 77.0}

    monkeypatch.setattr(command, "measure_model", measure)
    monkeypatch.setattr(command, "measure_baseline", None)
    assert compare(place)["sets"] == record["sets"]
    assert asked == []
    row = place / "work" / "small" / "from-noise-2-steps.json"
    kept = row.read_text()
    row.unlink()
    again = compare(place)["sets"]
    row.write_text(kept)
    assert asked == [2]
    assert again[0]["rows"][2]["seconds"] == 77.0 and again[1] == record["sets"][1]


def test_rows_of_another_measurement_are_not_mixed_in(record, place):
    with pytest.raises(DataError, match="another seed; choose another --work"):
        compare(place, seed=5)


def test_rows_of_other_options_are_measured_again(record, place):
    path = place / "work" / "small" / "from-etkdg-2-steps.json"
    options = plan_rows()["from ETKDG, 2 steps"]
    assert command._read_row(path, options) == record["sets"][0]["rows"][-1]
    assert command._read_row(path, replace(options, start_time=0.5)) is None


def test_page_does_not_tell_where_the_files_are(place, monkeypatch):
    path = place / "small.npz"
    monkeypatch.setattr(sys, "argv", ["shapespace", "compare", "--data", str(path), "--model", "tiny"])
    source = command.Source(path, "small")
    about = command._about(command.choose_model(None, place, place / "tiny", torch.device("cpu")), [source])
    assert about["command"] == ["shapespace", "compare", "--data", "small.npz", "--model", "tiny"]


def test_titles_and_thresholds_belong_to_their_sets(tmp_path):
    paths = [tmp_path / "a.npz", tmp_path / "b.npz"]
    first, second = command.pair_sources(paths, ["One", "Two"], [".5,.1,.5", "1"])
    assert (first.title, first.thresholds_ang) == ("One", (0.5, 0.1))
    assert (second.title, second.thresholds_ang) == ("Two", (1.0,))
    assert command.pair_sources(paths, [], [])[1] == command.Source(paths[1], "b")


@pytest.mark.parametrize(
    ("titles", "thresholds", "words"),
    [(["One"], [], "--title is there 1 times for 2 sets"), ([], [".5"], "--threshold is there 1 times"),
     ([], [".5", "half"], "--threshold is 'half'"), ([], [".5", "0"], "above 0"), ([], ["", "1"], "--threshold is ''")],
)  # fmt: skip
def test_what_does_not_fit_the_sets_is_refused(tmp_path, titles, thresholds, words):
    with pytest.raises(DataError, match=words):
        command.pair_sources([tmp_path / "a.npz", tmp_path / "b.npz"], titles, thresholds)


def test_sets_of_one_name_are_refused(tmp_path):
    with pytest.raises(DataError, match="one name"):
        command.pair_sources([tmp_path / "a.npz", tmp_path / "other" / "a.npz"], [], [])


@pytest.mark.parametrize("wrong", [{"max_references": 0}, {"max_molecules": 0}, {"seed": -1}])
def test_limits_that_leave_nothing_are_refused(wrong):
    with pytest.raises(DataError, match=next(iter(wrong))):
        command.Limits(**wrong)
