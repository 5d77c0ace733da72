import json
from functools import partial

import pytest

from app.commands import bench
from models.data.features import PAIR_SIZES, TOKEN_SIZES
from models.data.molecule import build_molecules, read_smiles
from models.networks.denoiser import DenoiserConfig
from models.training.config import TrainConfig, to_json
from models.training.cost import matrix_ceiling


@pytest.mark.parametrize(("atoms", "smiles"), bench.MOLECULES.items())
def test_molecules_have_the_size_they_are_named_by(atoms, smiles):
    assert build_molecules(read_smiles(smiles), 0)[0].num_atoms == atoms


def test_bench_prints_a_table_and_writes_it(tmp_path, monkeypatch, capsys, weights):
    monkeypatch.setattr(bench, "BATCHES", (1, 2))
    monkeypatch.setenv("COLUMNS", "120")
    out = tmp_path / "new" / "bench.json"
    bench.run(25, 1, out, weights, None, "cpu")
    record = json.loads(out.read_text())
    assert (record["model"], record["steps"], record["repeats"]) == ("molecules-small", 25, 1)
    assert [(row["atoms"], row["batch"]) for row in record["rows"]] == [(a, b) for a in (18, 45, 80) for b in (1, 2)]
    for row in record["rows"]:
        assert row["step_s"] > 0
        assert row["projection_s"] > 0
        assert row["conformers_per_s"] == pytest.approx(row["batch"] / (25 * row["step_s"]))
    assert record["machine"]["device"] == "cpu"
    printed = capsys.readouterr().out
    assert "conformers/s (25 steps)" in printed
    assert all(f"{row['conformers_per_s']:.2f}" in printed for row in record["rows"])


def test_training_bench_compares_with_the_ceiling(tmp_path, monkeypatch, capsys, train_config_file):
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(
        bench, "matrix_ceiling", partial(matrix_ceiling, size=64)
    )  # bfloat16 is slow on many processors
    out = tmp_path / "new" / "training.json"
    bench.run_training(train_config_file, 1, out, "cpu")
    record = json.loads(out.read_text())
    assert [row["size"] for row in record["rows"]] == [20, 29]
    for row in record["rows"]:
        assert row["gflops_per_s"] == pytest.approx(row["flops"] / row["step_s"] / 1e9)
        ceiling = record["ceilings_gflops_per_s"][record["precision"]]
        assert row["share_of_ceiling"] == pytest.approx(row["gflops_per_s"] / ceiling)
    assert "ceiling in float32" in capsys.readouterr().out


@pytest.fixture
def train_config_file(tmp_path):
    network = DenoiserConfig(
        TOKEN_SIZES, PAIR_SIZES, channels=16, heads=2, layers=2, pair_channels=8, radial=4, expansion=2
    )
    path = tmp_path / "config.json"
    path.write_text(to_json(TrainConfig(network, tokens_per_step=80, compile=False, half="off")))
    return path
