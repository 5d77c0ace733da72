import json

import pytest

from app.commands import bench_load, bench_serve
from app.commands.bench_serve import bare_rate
from app.settings import build_settings
from models.data.molecule import build_molecules, read_smiles
from models.errors import ModelError
from models.options import build_options
from models.weights import load_model, pick_device


def test_bare_sampler_is_measured_without_its_first_batch(weights, monkeypatch):
    model = load_model("molecules-small", weights, pick_device("cpu"))
    (molecule,) = build_molecules(read_smiles("C"), 0)
    ticks, made = iter([100.0, 104.0]), []
    monkeypatch.setattr(bench_serve, "run_paths", lambda *given: made.append(len(given[2])))
    settings = build_settings(parse_processes=1)
    assert bare_rate(model, molecule, 2, build_options(), settings, lambda: next(ticks)) == 3 * 2 / 4
    assert made == [2] * 4


def test_server_that_does_not_start_says_why(tmp_path):
    with (
        pytest.raises(ModelError, match=r"did not start: .*no registry"),
        bench_serve.server([f"--weights={tmp_path}"]),
    ):
        pass


def test_service_is_measured_end_to_end(tmp_path, monkeypatch, capsys, weights):
    monkeypatch.setattr(bench_load, "CLIENTS", 3)
    monkeypatch.setattr(bench_serve, "MOLECULE", "CCO")
    monkeypatch.setattr(bench_serve, "calibrate", lambda model, molecule: type("Small", (), {"rows": lambda *_: 2})())
    monkeypatch.setattr(bench_load, "_SETTLE_S", 0.1)
    monkeypatch.setattr(bench_load, "_BULK", 1000)
    monkeypatch.setenv("COLUMNS", "120")
    out = tmp_path / "new" / "serve.json"
    hostile = tmp_path / "hostile.jsonl"
    hostile.write_text('{"kind": "smiles", "data": "C1CC"}\n{"kind": "smiles", "data": "C\\ud800"}\n')
    bench_serve.run("mmff94s", 2, 2, 0.2, 1, hostile, 0, out, weights, None, "cpu")
    record = json.loads(out.read_text())
    assert (record["model"], record["sampling"]["steps"], record["molecule"]) == ("molecules-small", 2, "CCO")
    assert record["batch"] == 2
    assert len(record["bars"]) == 8
    assert all(bar["value"] > 0 and bar["verdict"] in ("aim", "must", "missed") for bar in record["bars"])
    assert [bar["value"] for bar in record["bars"][4:] if bar["least"]] == [1.0] * 3
    (figures,) = record["rounds"]
    assert out.with_suffix(".md").read_text().count("\n") == 10
    assert figures["idle_s"]["p50"] <= figures["idle_s"]["p99"]
    assert "bare sampler" in capsys.readouterr().out
