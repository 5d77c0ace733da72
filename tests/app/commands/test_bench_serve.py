import asyncio
import json

import httpx
import pytest

from app.commands import bench_serve
from app.commands.bench_serve import (
    Asker,
    Bar,
    bare_rate,
    to_bars,
    to_hostile_bars,
    to_kill_bars,
    to_markdown,
    to_table,
)
from app.commands.bench_siege import Kept, Siege
from app.settings import build_settings
from models.data.molecule import build_molecules, read_smiles
from models.draws import RETRY_STRIDE
from models.errors import ModelError
from models.options import build_options
from models.weights import load_model, pick_device

FIGURES = {
    "http_conformers_per_s": 9.5, "bare_conformers_per_s": 10.0, "one_at_a_time_per_s": 2.0, "together_per_s": 3.0,
    "idle_s": {"p99": 0.5}, "beside_bulk_s": {"p99": 0.7}, "healthz_per_s": 400.0,
}  # fmt: skip


def test_bars_are_ratios_with_a_verdict():
    faster = FIGURES | {"http_conformers_per_s": 9.7}
    bars = to_bars([FIGURES, faster, FIGURES | {"http_conformers_per_s": 1.0}])  # medians of ratios
    assert [round(bar.value, 3) for bar in bars] == [0.95, 1.4, 1.5, 400.0]
    assert [bar.verdict for bar in bars] == ["must", "aim", "missed", "must"]
    assert to_table(bars).row_count == 4
    assert (
        to_markdown(bars).splitlines()[2] == "| structures/s through HTTP / bare sampler | 0.95 | 0.9 | 0.97 | must |"
    )


def test_hostile_molecules_must_all_be_answered_in_time():
    siege = Siege([(200, 0.1), (422, 9.0), (500, 0.1), (200, 11.0)], [True, True, False, True])
    assert [(bar.value, bar.verdict) for bar in to_hostile_bars(siege)] == [(0.5, "missed"), (0.75, "missed")]


@pytest.mark.parametrize(("lost", "doubled", "verdict"), [(0, 0, "aim"), (1, 0, "missed"), (0, 1, "missed")])
def test_kills_may_cost_nothing(lost, doubled, verdict):
    (bar,) = to_kill_bars(Kept(7, lost, doubled))
    assert (bar.value, bar.verdict) == (lost + doubled, verdict)
    assert "7 kills" in bar.name


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
        asked.append((body["num_conformers"], body["seed"], body["start"], body["sampler"]["steps"]))
        kept = range(body["num_conformers"] - 1)  # one is missing
        found = [{"index": k, "seed": body["seed"] + k + (2 * RETRY_STRIDE if k == 1 else 0)} for k in kept]
        return httpx.Response(200, json={"results": [{"conformers": found}]})

    async def go():
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://test") as client:
            return await Asker(client, build_options("etkdg", 7))(6, 100)

    assert asyncio.run(go()) == (1 + 3 + 1 + 5) + (1 + 5)
    assert asked == [(4, 100, "etkdg", 7), (2, 104, "etkdg", 7)]


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
    monkeypatch.setattr(bench_serve, "CLIENTS", 3)
    monkeypatch.setattr(bench_serve, "MOLECULE", "CCO")
    monkeypatch.setattr(bench_serve, "calibrate", lambda model, molecule: type("Small", (), {"rows": lambda *_: 2})())
    monkeypatch.setattr(bench_serve, "_SETTLE_S", 0.1)
    monkeypatch.setattr(bench_serve, "_BULK", 1000)
    monkeypatch.setenv("COLUMNS", "120")
    out = tmp_path / "new" / "serve.json"
    hostile = tmp_path / "hostile.jsonl"
    hostile.write_text('{"kind": "smiles", "data": "C1CC"}\n{"kind": "smiles", "data": "C\\ud800"}\n')
    bench_serve.run("mmff94s", 2, 2, 0.2, 1, hostile, 0, out, weights, None, "cpu")
    record = json.loads(out.read_text())
    assert (record["model"], record["sampling"]["steps"], record["molecule"]) == ("molecules-small", 2, "CCO")
    assert record["batch"] == 2
    assert len(record["bars"]) == 6
    assert all(bar["value"] > 0 and bar["verdict"] in ("aim", "must", "missed") for bar in record["bars"])
    assert [bar["value"] for bar in record["bars"][4:]] == [1.0, 1.0]
    (figures,) = record["rounds"]
    assert out.with_suffix(".md").read_text().count("\n") == 8
    assert figures["idle_s"]["p50"] <= figures["idle_s"]["p99"]
    assert "bare sampler" in capsys.readouterr().out
