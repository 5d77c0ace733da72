import math

import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from app.telemetry.metrics import Figure, Metrics


def read(metrics):
    families = text_string_to_metric_families(generate_latest(metrics.registry).decode())
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def test_every_application_counts_for_itself():
    first, second = Metrics(), Metrics()
    first.count_refusal("overloaded")
    key = ("shapespace_refusals_total", (("reason", "overloaded"),))
    assert read(first)[key] == 1
    assert key not in read(second)


def test_molecules_and_what_is_missing_are_counted():
    metrics = Metrics()
    metrics.count_molecule("ok", 5, [])
    metrics.count_molecule("partial", 3, [("clash", 1), ("wrong_stereo", 2)])
    metrics.count_molecule("failed", 0, [("too_complex", 4)])
    values = read(metrics)
    assert values["shapespace_conformers_total", ()] == 8
    assert values["shapespace_failures_total", (("reason", "wrong_stereo"),)] == 2
    assert metrics.totals()["molecules"] == {"ok": 1, "partial": 1, "failed": 1}
    assert metrics.totals()["failures"] == {"clash": 1, "wrong_stereo": 2, "too_complex": 4}
    assert metrics.totals()["conformers"] == {"all": 8}


def test_backbones_and_what_is_missing_are_counted():
    metrics = Metrics()
    metrics.count_backbones(4, [])
    metrics.count_backbones(1, [("chain_break", 3)])
    assert metrics.totals()["backbones"] == {"all": 5}
    assert metrics.totals()["failures"] == {"chain_break": 3}
    assert metrics.totals()["conformers"] == {"all": 0} and read(metrics)["shapespace_backbones_total", ()] == 5


def test_requests_are_summed_over_routes():
    metrics = Metrics()
    for route, status in (("/a", 200), ("/b", 200), ("/b", 422)):
        metrics.count_request(route, "GET", status, 0.1)
    assert metrics.totals()["requests"] == {"200": 2, "422": 1}
    assert read(metrics)["shapespace_http_request_seconds_count", (("route", "/b"),)] == 2


def test_percentiles_are_those_of_the_latest_times():
    metrics = Metrics()
    assert metrics.percentiles() == {}
    for k in range(5000):
        metrics.count_stages({"wait": float(k), "read": 1.0})
    assert metrics.percentiles() == {"wait": {"p50": 4499.5, "p99": pytest.approx(4989.01)}}
    assert read(metrics)["shapespace_stage_seconds_count", (("stage", "read"),)] == 5000


def test_figures_are_read_anew_for_every_scrape():
    level = [1.0]
    metrics = Metrics(
        lambda: [
            Figure("depth", "Depth.", level[0]),
            Figure("losses", "Losses.", 2, {"reason": "late"}, total=True),
            Figure("losses", "Losses.", 3, {"reason": "died"}, total=True),
            Figure("age_s", "Age.", math.inf),
        ]
    )
    assert read(metrics)["shapespace_depth", ()] == 1
    level[0] = 7
    values = read(metrics)
    assert values["shapespace_depth", ()] == 7
    assert values["shapespace_losses_total", (("reason", "died"),)] == 3
    assert values["shapespace_age_s", ()] == math.inf
    assert "# TYPE shapespace_losses_total counter" in generate_latest(metrics.registry).decode()


def test_memory_of_the_process_is_among_them():
    assert read(Metrics())["process_resident_memory_bytes", ()] > 1e6
