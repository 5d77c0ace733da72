import pytest
from prometheus_client.parser import text_string_to_metric_families


@pytest.fixture(autouse=True)
def at_rest(client, patient):
    """Nothing is left to do of the tests before, whose callers may have gone."""
    patient(lambda: rests(client))


def rests(client):
    now = client.get("/v1/stats").json()["now"]
    return now["intake_running"] == now["engine_running_rows"] == 0


def scrape(client):
    response = client.get("/metrics", headers={"Accept": "text/plain; version=nonsense"})
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = text_string_to_metric_families(response.text)
    return {(s.name, tuple(s.labels.values())): s.value for family in families for s in family.samples}


def test_sampling_moves_the_metrics(client, ask, perfect):
    before = scrape(client)
    assert ask("CCO", "C1CC", num_conformers=3, start="noise").status_code == 200
    after = scrape(client)

    def grown(name, *labels):
        return after.get((f"shapespace_{name}", labels), 0) - before.get((f"shapespace_{name}", labels), 0)

    assert grown("conformers_total") == 3
    assert grown("molecules_total", "ok") == grown("molecules_total", "failed") == 1
    assert grown("failures_total", "unreadable") == 3
    assert grown("intake_jobs_total") == 2
    assert grown("engine_conformers_total") == 3
    assert grown("stage_seconds_count", "wait") == grown("stage_seconds_count", "total") == 1
    assert grown("http_requests_total", "POST", "/v1/conformers", "200") == 1
    assert after["shapespace_ready", ()] == 1
    assert after["shapespace_intake_children", ()] >= 3  # two, a spare one, and who takes the place of slow ones


def test_stats_tell_the_same_to_people(client, ask, perfect, patient):
    assert ask("CCO").status_code == 200
    patient(lambda: rests(client))  # a child may still be coming home with its answer
    stats = client.get("/v1/stats").json()
    assert stats["model"] == "molecules-small"
    assert stats["state"] == "ready"
    assert stats["uptime_s"] > 0
    assert stats["since_start"]["molecules"]["ok"] >= 1
    assert stats["since_start"]["conformers"]["all"] >= 2
    assert stats["latest_s"]["total"]["p99"] >= stats["latest_s"]["total"]["p50"] > 0
