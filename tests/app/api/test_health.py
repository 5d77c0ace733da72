from app import __version__
from app.main import create_app
from app.settings import Settings


def test_health_answers_while_the_model_loads(connect, small_settings):
    client = connect(create_app(small_settings))  # not started: it loads forever
    assert client.get("/healthz").json() == {"status": "ok", "version": __version__}
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["status"] == "loading"


def test_ready_after_a_real_sample(client):
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {"status": "ready", "detail": "a sample was made"}


def test_service_that_loads_asks_to_come_back(connect, small_settings):
    client = connect(create_app(small_settings))
    response = client.post("/v1/conformers", json={"molecules": [{"smiles": "C"}]})
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["type"].endswith(":loading")
    assert int(response.headers["retry-after"]) > 0


def test_service_without_weights_says_so(connect, tmp_path, patient):
    app = create_app(Settings(weights_dir=tmp_path, threads=1, parse_processes=1, log_level="critical"))
    with connect(app) as client:
        patient(lambda: app.state.engine.state != "loading")
        response = client.get("/readyz")
        assert response.status_code == 503
        assert response.json()["status"] == "failed"
        assert str(tmp_path) in response.json()["detail"]
        assert client.get("/healthz").status_code == 200
        refused = client.post("/v1/conformers", json={"molecules": [{"smiles": "C"}]})
        assert refused.status_code == 503
        assert refused.json()["type"].endswith(":unavailable")
        assert "retry-after" in refused.headers
        assert client.get("/v1/models").status_code == 503


def test_dead_sampler_is_not_ready(client, monkeypatch):
    class Dead:
        def is_alive(self):
            return False

    monkeypatch.setattr(client.app.state.engine, "_watch", lambda: None)
    monkeypatch.setattr(client.app.state.engine._worker, "thread", Dead())
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["status"] == "dead"
    assert client.post("/v1/conformers", json={"molecules": [{"smiles": "C"}]}).status_code == 503
