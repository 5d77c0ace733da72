import json
import re
from types import SimpleNamespace

import torch
from prometheus_client.exposition import generate_latest

from app.api.figures import figures, of_jobs
from app.database.database import DatabaseError
from app.engine.stats import EngineStats
from app.intake.pool import PoolStats
from app.telemetry.metrics import Metrics

ENGINE = EngineStats(waiting_draws=4, step_s=0.5, faults={"clash": 2, "broken_bond": 1})
POOL = PoolStats(children=3, running=2, slow=1, waiting=5, done=7, losses={"late": 1, "memory": 2})


def parts(device="cpu"):
    model = SimpleNamespace(device=torch.device(device))
    engine = SimpleNamespace(ready=True, model=model, stats=lambda: ENGINE)
    return engine, SimpleNamespace(stats=lambda: POOL)


def values(*parts):
    return {(figure.name, *figure.labels.values()): figure.value for figure in figures(*parts)}


def test_every_number_of_the_engine_and_the_children_is_a_figure():
    found = values(*parts())
    assert found["ready",] == 1
    assert (found["engine_waiting_draws",], found["engine_step_seconds",]) == (4, 0.5)
    assert found["engine_faults", "clash"] == 2
    assert found["intake_slow",] == 1
    assert found["intake_losses", "memory"] == 2


def test_memory_of_a_gpu_is_among_them(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (30, 100))
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 50)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 60)
    found = values(*parts("cuda:0"))
    kinds = {key[1]: value for key, value in found.items() if key[0] == "device_memory_bytes"}
    assert kinds == {"total": 100, "free": 30, "allocated": 50, "reserved": 60}
    assert "device_memory_bytes" not in {key[0] for key in values(*parts())}


def test_jobs_are_among_them_while_the_database_answers():
    store = SimpleNamespace(counts=lambda: {"queued": 3, "running": 1})
    assert {figure.labels["state"]: figure.value for figure in of_jobs(store)} == {"queued": 3, "running": 1}

    def gone():
        raise DatabaseError("gone")

    assert list(of_jobs(SimpleNamespace(counts=gone))) == []


def test_engine_that_loads_has_figures_too():
    engine = SimpleNamespace(ready=False, model=None, stats=EngineStats)
    assert values(engine, parts()[1])["ready",] == 0


def test_dashboard_and_page_name_metrics_that_exist(root, monkeypatch):
    for name, value in {"mem_get_info": (1, 2), "memory_allocated": 1, "memory_reserved": 1}.items():
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)
    store = SimpleNamespace(counts=lambda: {"queued": 3, "running": 1})
    metrics = Metrics(lambda: (*figures(*parts("cuda:0")), *of_jobs(store)))
    metrics.count_request("/v1/conformers", "POST", 200, 1.0)
    metrics.count_refusal("overloaded")
    metrics.count_stages({"wait": 1.0})
    metrics.count_molecule("partial", 1, [("clash", 1)])
    there = set(re.findall(r"^(\w+)", generate_latest(metrics.registry).decode(), re.MULTILINE))
    board = json.loads((root / "docker" / "grafana" / "dashboards" / "shapespace.json").read_text())
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    names = {name for text in asked for name in re.findall(r"\b(?:shapespace|process)_\w+", text)}
    page = set(re.findall(r"`(shapespace_\w+)`", (root / "docs" / "operating.md").read_text()))
    assert len(names) > 10 < len(page)
    assert names <= there
    assert page <= {name.removesuffix("_count") for name in there}
    places = [panel["gridPos"] for panel in board["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
