import json
from contextlib import nullcontext
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom
from safetensors.torch import load_file

from app.commands import experiment
from models.data import packing
from models.data.features import PAIR_SIZES, TOKEN_SIZES
from models.errors import DataError
from models.experiments.material import Sources
from models.experiments.plan import build_plan
from models.networks.denoiser import DenoiserConfig
from models.training.config import TrainConfig, to_json

SMILES = (
    "CO", "CC", "CN", "CF", "C=C", "C=O", "CC#C", "C1CC1", "C1CO1", "COC", "CCO", "CC=O", "NC=O", "CC#N", "C=CC",
    "CCF", "CSC", "C[C@H](F)Cl", "OCCO", "C#CC#C",
)  # fmt: skip
ARMS = ["plain", "quotient", "quotient+kabsch+automorphisms"]
TURNS = 2


class KilledError(Exception):
    """Stands for a kill."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A training set of twenty molecules, a test set of one, a configuration, and a folder with the packed set."""
    folder = tmp_path_factory.mktemp("experiment")
    mols = [Chem.AddHs(Chem.MolFromSmiles(text)) for text in SMILES]
    for mol in mols:
        assert rdDistGeom.EmbedMolecule(mol, randomSeed=1) == 0
    for name, rows in (("data", range(len(SMILES))), ("test", [0])):
        np.savez(
            folder / f"{name}.npz",
            smiles=np.array([SMILES[k] for k in rows]),
            natom=np.array([mols[k].GetNumAtoms() for k in rows]),
            nconf=np.ones(len(rows), dtype=int),
            z=np.concatenate([[a.GetAtomicNum() for a in mols[k].GetAtoms()] for k in rows]),
            pos=np.concatenate([mols[k].GetConformer().GetPositions() for k in rows]).astype(np.float32),
        )
    network = DenoiserConfig(
        TOKEN_SIZES, PAIR_SIZES, channels=16, heads=2, layers=1, pair_channels=4, radial=4, expansion=2,
        self_conditioning=False,
    )  # fmt: skip
    config = TrainConfig(network, half="off", compile=False, tokens_per_step=60, budget_s=6.0, bucket_sizes=(10,))
    (folder / "config.json").write_text(to_json(config))
    return folder


def ask(data, folder, arms=ARMS, turns=TURNS):
    plan = build_plan(data / "config.json", arms, "0", None, 10, 2, 4, turns, "wall", 1)
    sources = Sources(
        (data / "data.npz",), (data / "test.npz",), None, plan.config.bucket_sizes, None, 3, 1, 2, plan.automorphisms
    )
    return experiment.symmetry(plan, sources, folder, "cpu")


def stopping(monkeypatch, after=None, error=None):
    """Replace signals by a flag that rises after so many questions, and the clock by one that ticks."""
    ticks, asked = count(), count()

    def should_stop():
        if after is None or next(asked) < after:
            return False
        if error:
            raise error
        return True

    monkeypatch.setattr(experiment, "stop_flag", lambda: should_stop)
    monkeypatch.setitem(experiment.CLOCKS, "wall", lambda: float(next(ticks)))


@pytest.fixture(scope="module")
def whole(data):
    """The experiment from beginning to end."""
    folder = data / "whole"
    with pytest.MonkeyPatch.context() as patch:
        stopping(patch)
        pool = SimpleNamespace(imap=lambda work, items, chunksize: map(work, items))  # processes start slowly
        context = SimpleNamespace(Pool=lambda *args, **options: nullcontext(pool))
        patch.setattr(packing, "get_context", lambda kind: context)
        assert ask(data, folder) == 0
    return folder


def copied(whole, folder):
    """A new folder that holds the packed data already."""
    folder.mkdir()
    for name in ("packed.npz", "data.json"):
        (folder / name).write_bytes((whole / name).read_bytes())
    return folder


def without_time(folder):
    record = json.loads((folder / "experiment.json").read_text())
    return {key: value for key, value in record.items() if key not in ("date", "machine", "command")}


def test_experiment_writes_record_page_and_picture(whole):
    record = json.loads((whole / "experiment.json").read_text())
    assert [(run["arm"], run["step"]) for run in record["runs"]] == [(arm, 6) for arm in ARMS]
    assert [point["elapsed_s"] for point in record["runs"][0]["curve"]] == [3, 6]
    titles = {table["title"] for table in record["tables"]}
    assert {"Ensembles", "Difference from plain", "Curvature drift, all sizes"} <= titles
    for table in record["tables"]:
        if "error" in table["title"]:
            assert all(cell["mean"] > 0 for row in table["rows"] for cell in row["cells"])
    assert record["held_out"]["errors"] == 3 and sum(record["held_out"]["curvature"].values()) >= 1
    page = (whole / "experiment.md").read_text()
    assert all(f"| {arm} |" in page for arm in ARMS) and "## Curvature drift, all sizes" in page
    assert (whole / "experiment.png").read_bytes()[:4] == b"\x89PNG"
    assert record["settings"]["sources"]["data"] == ["data.npz"]


def test_finished_experiment_is_read_and_not_run_again(whole, data, monkeypatch):
    before = without_time(whole)
    stopping(monkeypatch)
    for name in ("train", "measure_turn", "measure_run", "measure_form"):
        monkeypatch.setattr(experiment, name, lambda *args: pytest.fail("run again"))
    assert ask(data, whole) == 0
    assert without_time(whole) == before


def test_ended_experiment_goes_on_to_the_same_end(whole, data, monkeypatch, tmp_path):
    folder = copied(whole, tmp_path / "parts")
    for after, error in ((2, None), (11, KilledError()), (17, None)):
        stopping(monkeypatch, after, error)
        if error:
            with pytest.raises(KilledError):
                ask(data, folder)
        else:
            assert ask(data, folder) == 1
        assert not (folder / "experiment.json").is_file()
    stopping(monkeypatch)
    assert ask(data, folder) == 0
    assert without_time(folder) == without_time(whole)
    for arm in ARMS:
        first, second = (load_file(f / f"{arm}-0" / "checkpoint" / "average.safetensors") for f in (whole, folder))
        assert all((first[name] == second[name]).all() for name in first)


def test_folder_of_another_experiment_is_refused(whole, data, monkeypatch):
    stopping(monkeypatch)
    with pytest.raises(DataError, match="another turns; choose another --out"):
        ask(data, whole, turns=3)


def test_experiment_without_the_quotient_arm_has_no_curvature_tables(whole, data, monkeypatch, tmp_path):
    stopping(monkeypatch)
    folder = copied(whole, tmp_path / "kabsch")
    assert ask(data, folder, arms=["kabsch"]) == 0
    record = json.loads((folder / "experiment.json").read_text())
    assert not [table for table in record["tables"] if "Curvature" in table["title"]]
