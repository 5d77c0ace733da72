import json
import multiprocessing

import pytest
import structlog
import torch

from app.access.keys import make_key
from app.access.store import KeyStore
from app.api.middleware import HEADERS
from app.engine.engine import EngineError
from app.main import create_app, leave_room, load, load_backbones
from app.settings import Settings
from app.telemetry.logs import configure_logs
from models.errors import WeightsError


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
        "post /v1/backbones": "sample_backbones",
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
def named(tiny_weights, tmp_path):
    """Settings for a folder with the weights under names of its own, and a name of the model of backbones."""
    models = json.loads((tiny_weights / "registry.json").read_text())["models"]
    for name, old in (("ours", "backbones-small"), ("other", "molecules-small")):
        models[name] = models.pop(old)
        (tmp_path / models[name]["file"]).symlink_to(tiny_weights / models[name]["file"])
    (tmp_path / "registry.json").write_text(json.dumps({"models": models}))

    def build(*name):
        return Settings(weights_dir=tmp_path, device="cpu", **dict(zip(["backbone_model"], name, strict=False)))

    return build


def test_model_of_backbones_may_have_another_name(named):
    model = load_backbones(named("ours"))
    assert (model.name, model.lengths) == ("ours", (12, 40))


def test_service_without_backbones_needs_no_model_of_them(named):
    assert load_backbones(named("")) is None
    assert load_backbones(named()) is None  # the default is not there, and nobody asked for it


def test_model_of_backbones_that_was_asked_for_must_be_one(named):
    with pytest.raises(WeightsError, match="unknown model 'elsewhere'; registered: other, ours"):
        load_backbones(named("elsewhere"))
    with pytest.raises(WeightsError, match="'other' samples no backbones"):
        load_backbones(named("other"))


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


def test_logs_hold_no_key(locked, capfd, monkeypatch):
    """Whatever happens to a request, and wherever its caller put the key."""
    client, keys = locked
    before = structlog.get_config()
    configure_logs("debug")
    stranger = make_key("stranger")[1]
    tokens = [keys[scope]["X-API-Key"] for scope in ("sample", "admin")] + [stranger]

    def broken(*args):
        raise RuntimeError(f"lost {tokens[0]} on the way")

    texts = []
    for token in tokens:
        for headers in ({"X-API-Key": token}, {"Authorization": f"Bearer {token}"}, {"Authorization": token}):
            for path in ("/v1/limits", "/v1/stats", "/metrics", f"/v1/jobs/{token}", f"/v1/jobs?before={token}"):
                texts.append(client.get(path, headers=headers).text)
            texts.append(client.post("/v1/conformers", json={"molecules": token}, headers=headers).text)
    monkeypatch.setattr(client.app.state.quotas, "per_minute", broken)
    texts.append(client.get("/v1/limits", headers={"X-API-Key": make_key("other")[1]}).text)  # counts wrong keys
    assert json.loads(texts[-1])["status"] == 500
    written = capfd.readouterr().err
    structlog.configure(**before)
    assert written.count('"event": "request"') >= len(texts)
    assert "RuntimeError" in written
    for token in tokens:
        secret = token.split("_", 2)[2]
        assert secret not in written


@pytest.mark.parametrize(
    ("method", "path", "more", "status"),
    [
        ("GET", "/", {}, 307),
        ("GET", "/nowhere", {}, 404),
        ("PUT", "/healthz", {}, 405),
        ("POST", "/v1/conformers", {"json": {}, "headers": {"Accept": "image/png"}}, 422),
        ("POST", "/v1/conformers", {"json": {"molecules": [{"smiles": "C"}]}, "headers": {"Accept": "image/png"}}, 406),
        ("POST", "/v1/conformers", {"content": b"x" * 2_000_000}, 413),
        ("POST", "/v1/conformers", {"content": b"x", "headers": {"Content-Type": "text/plain"}}, 415),
        ("POST", "/v1/conformers", {"content": b"{", "headers": {"Content-Type": "application/json"}}, 422),
        ("GET", "/v1/jobs/x", {}, 404),
        ("GET", "/v1/limits", {}, 200),
        ("GET", "/metrics", {}, 200),
        ("HEAD", "/healthz", {}, 405),
    ],
)
def test_every_answer_carries_security_headers(client, method, path, more, status):
    answer = client.request(method, path, follow_redirects=False, **more)
    assert answer.status_code == status
    assert HEADERS.items() <= {name.title(): value for name, value in answer.headers.items()}.items()
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert "server" not in answer.headers


def test_refusals_of_the_door_carry_security_headers(locked):
    client, keys = locked
    for path, headers, status in (("/v1/limits", {}, 401), ("/metrics", keys["sample"], 403)):
        answer = client.get(path, headers=headers)
        assert answer.status_code == status
        assert HEADERS.items() <= {name.title(): value for name, value in answer.headers.items()}.items()


@pytest.mark.parametrize(("cores", "asked", "given"), [(1, 0, 1), (2, 0, 1), (16, 0, 15), (16, 16, 16)])
def test_sampler_leaves_a_core_to_the_children_unless_it_is_told_otherwise(monkeypatch, cores, asked, given):
    monkeypatch.setattr(torch, "get_num_threads", lambda: cores)
    assert leave_room(Settings(device="cpu", threads=asked)).threads == given
