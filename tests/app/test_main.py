import multiprocessing

import pytest
import torch

from app.access.keys import make_key
from app.access.store import KeyStore
from app.engine.engine import EngineError
from app.main import create_app, load
from app.settings import Settings


def test_openapi_document_holds_the_limits_of_the_service(client, small_settings):
    fields = client.get("/openapi.json").json()["components"]["schemas"]["ConformersRequest"]["properties"]
    assert fields["molecules"]["maxItems"] == small_settings.max_molecules
    assert fields["molecules"]["minItems"] == 1
    assert fields["num_conformers"]["maximum"] == small_settings.max_conformers
    assert fields["seed"]["anyOf"][0]["maximum"] == 2**53 - 1


def test_openapi_document_is_the_same_twice(client):
    assert client.get("/openapi.json").json() == client.get("/openapi.json").json()


def test_operations_have_stable_names(client):
    paths = client.get("/openapi.json").json()["paths"]
    names = {
        f"{method} {path}": operation["operationId"] for path, ops in paths.items() for method, operation in ops.items()
    }
    assert names == {
        "post /v1/conformers": "sample_conformers",
        "get /v1/jobs": "list_jobs",
        "get /v1/jobs/{job_id}": "get_job",
        "delete /v1/jobs/{job_id}": "cancel_job",
        "get /v1/jobs/{job_id}/result": "get_job_result",
        "get /v1/jobs/{job_id}/events": "watch_job",
        "get /v1/models": "list_models",
        "get /v1/limits": "list_limits",
        "get /healthz": "health",
        "get /readyz": "ready",
        "get /metrics": "metrics",
        "get /v1/stats": "stats",
    }


def test_openapi_document_names_every_media_type(client):
    answers = client.get("/openapi.json").json()["paths"]["/v1/conformers"]["post"]["responses"]["200"]["content"]
    assert set(answers) == set(client.get("/v1/limits").json()["media_types"])


def test_openapi_document_names_every_problem(client):
    answers = client.get("/openapi.json").json()["paths"]["/v1/conformers"]["post"]["responses"]
    assert {"200", "202", "406", "408", "409", "413", "415", "422", "429", "503"} == set(answers)
    for status in set(answers) - {"200", "202"}:
        assert "application/problem+json" in answers[status]["content"]


def test_root_leads_to_the_documentation(client):
    response = client.get("/", follow_redirects=False)
    assert response.status_code == 307
    assert response.headers["location"] == "/docs"
    assert client.get("/docs").status_code == 200


def test_service_that_ends_leaves_no_process_and_no_thread(connect, tmp_path):
    before = {p.pid for p in multiprocessing.active_children()}
    app = create_app(Settings(weights_dir=tmp_path, threads=1, parse_processes=2, log_level="critical"))
    with connect(app) as client:
        assert client.get("/healthz").status_code == 200
        assert len({p.pid for p in multiprocessing.active_children()} - before) == 3  # one is spare
    assert {p.pid for p in multiprocessing.active_children()} <= before
    assert not app.state.engine._thread.is_alive()


def test_model_is_loaded_as_the_settings_say(weights):
    threads = torch.get_num_threads()
    try:
        model = load(Settings(weights_dir=weights, device="cpu", threads=1))
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(threads)
    assert model.name == "molecules-small"
    assert str(model.device) == "cpu"
    assert not model.module.training


@pytest.fixture
def locked(connect, weights, tmp_path):
    """An application that asks for keys, without its engine; and a key for each scope."""
    app = create_app(
        Settings(weights_dir=weights, threads=1, api_keys="required", state_dir=tmp_path, log_level="error")
    )
    app.state.database.upgrade()
    tokens = {}
    for scope in ("sample", "admin"):
        key, tokens[scope] = make_key(scope, frozenset({scope}))
        KeyStore(app.state.database).add(key)
    yield connect(app), {scope: {"X-API-Key": token} for scope, token in tokens.items()}
    app.state.database.close()


def test_locked_service_asks_for_keys_and_scopes(locked):
    client, keys = locked
    body = {"molecules": [{"smiles": "C"}]}
    assert client.get("/healthz").status_code == 200
    assert [client.get("/v1/limits", headers=h).status_code for h in ({}, keys["sample"], keys["admin"])] == [
        401,
        200,
        200,
    ]
    for path in ("/metrics", "/v1/stats"):
        assert [client.get(path, headers=h).status_code for h in ({}, keys["sample"], keys["admin"])] == [401, 403, 200]
    answers = [client.post("/v1/conformers", json=body, headers=h) for h in ({}, keys["sample"])]
    assert [a.status_code for a in answers] == [401, 503]  # it has not started
    assert answers[1].json()["type"].endswith(":loading")


def test_openapi_document_says_where_a_key_is_needed(locked, client):
    document = locked[0].get("/openapi.json").json()
    assert set(document["components"]["securitySchemes"]) == {"bearer", "header"}
    assert document["paths"]["/v1/conformers"]["post"]["security"] == [{"bearer": []}, {"header": []}]
    assert "401" in document["paths"]["/v1/conformers"]["post"]["responses"]
    assert document["paths"]["/healthz"]["get"]["security"] == []
    assert "securitySchemes" not in client.get("/openapi.json").json()["components"]


def test_full_service_does_not_read_the_body(client, monkeypatch):
    def full(before=0, **more):
        raise EngineError("overloaded", "full", 9)

    monkeypatch.setattr(client.app.state.engine, "check_open", full)
    answer = client.post("/v1/conformers", content=b"not JSON", headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "9")
    assert answer.json()["type"].endswith(":overloaded")
