import asyncio
import json

import httpx
import pytest

from app.commands import bench_serve
from app.commands.bench_serve import Asker, Bar, bare_rate, to_bars, to_table
from models.data.molecule import build_molecules, read_smiles
from models.draws import RETRY_STRIDE
from models.errors import ModelError
from models.weights import load_model, pick_device

FIGURES = {
    "http_conformers_per_s": 9.5, "bare_conformers_per_s": 10.0, "one_at_a_time_per_s": 2.0, "together_per_s": 3.0,
    "idle_s": {"p99": 0.5}, "beside_bulk_s": {"p99": 0.7}, "healthz_per_s": 400.0,
}  # fmt: skip


def test_bars_are_ratios_with_a_verdict():
    bars = to_bars(FIGURES)
    assert [round(bar.value, 3) for bar in bars] == [0.95, 1.4, 1.5, 400.0]
    assert [bar.verdict for bar in bars] == ["must", "aim", "missed", "must"]
    assert to_table(bars).row_count == 4


@pytest.mark.parametrize(("value", "verdict"), [(1.5, "aim"), (1.6, "must"), (3.0, "must"), (3.1, "missed")])
def test_bar_may_ask_for_little(value, verdict):
    assert Bar("x", value, 3.0, 1.5, least=False).verdict == verdict


def test_structures_that_were_drawn_are_told_by_their_seeds():
    """Those that were redrawn, and those that never came, count as often as they were drawn."""
    asked = []

    def answer(request):
        if request.method == "GET":
            return httpx.Response(200, json={"conformers_per_molecule": 4})
        body = json.loads(request.content)
        asked.append((body["num_conformers"], body["seed"], body["sampler"]["steps"]))
        kept = range(body["num_conformers"] - 1)  # one is missing
        found = [{"index": k, "seed": body["seed"] + k + (2 * RETRY_STRIDE if k == 1 else 0)} for k in kept]
        return httpx.Response(200, json={"results": [{"conformers": found}]})

    async def go():
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://test") as client:
            return await Asker(client, 7)(6, 100)

    assert asyncio.run(go()) == (1 + 3 + 1 + 5) + (1 + 5)
    assert asked == [(4, 100, 7), (2, 104, 7)]


def test_bare_sampler_is_measured_by_the_second_batch(weights):
    model = load_model("molecules-small", weights, pick_device("cpu"))
    (molecule,) = build_molecules(read_smiles("C"), 0)
    ticks = iter([0.0, 100.0, 200.0, 204.0])
    assert bare_rate(model, molecule, 2, 1, lambda: next(ticks)) == 0.5


def test_server_that_does_not_start_says_why(tmp_path):
    with (
        pytest.raises(ModelError, match=r"did not start: .*no registry"),
        bench_serve.server([f"--weights={tmp_path}"]),
    ):
        pass


def test_service_is_measured_end_to_end(tmp_path, monkeypatch, capsys, weights):
    monkeypatch.setattr(bench_serve, "CLIENTS", 3)
    monkeypatch.setattr(bench_serve, "MOLECULE", "CCO")
    monkeypatch.setattr(bench_serve, "calibrate", lambda model, molecule: type("Small", (), {"rows": lambda *_: 2})())
    monkeypatch.setattr(bench_serve, "_SETTLE_S", 0.1)
    monkeypatch.setattr(bench_serve, "_BULK", 1000)
    monkeypatch.setenv("COLUMNS", "120")
    out = tmp_path / "new" / "serve.json"
    bench_serve.run(2, 2, 0.2, out, weights, None, "cpu")
    record = json.loads(out.read_text())
    assert (record["model"], record["steps"], record["molecule"]) == ("molecules-small", 2, "CCO")
    assert len(record["bars"]) == 4
    assert all(bar["value"] > 0 and bar["verdict"] in ("aim", "must", "missed") for bar in record["bars"])
    figures = record["figures"]
    assert figures["batch"] == 2
    assert figures["idle_s"]["p50"] <= figures["idle_s"]["p99"]
    assert "bare sampler" in capsys.readouterr().out
