import json
import logging
import multiprocessing

import pytest
import structlog
import torch

from app.main import configure_logs, create_app, load
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
    }


def test_openapi_document_names_every_media_type(client):
    answers = client.get("/openapi.json").json()["paths"]["/v1/conformers"]["post"]["responses"]["200"]["content"]
    assert set(answers) == set(client.get("/v1/limits").json()["media_types"])


def test_openapi_document_names_every_problem(client):
    answers = client.get("/openapi.json").json()["paths"]["/v1/conformers"]["post"]["responses"]
    assert {"200", "202", "406", "409", "413", "415", "422", "503"} == set(answers)
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
        assert len({p.pid for p in multiprocessing.active_children()} - before) == 2
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


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_logs_are_json_lines_from_the_level_on(level, capsys):
    before = structlog.get_config()
    try:
        configure_logs(level)
        log = structlog.get_logger("test")
        for name in ("debug", "info", "warning", "error"):
            getattr(log, name)("something", size=3)
    finally:
        structlog.configure(**before)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    number = logging.getLevelNamesMapping()[level.upper()]
    assert [line["level"] for line in lines] == [
        n for n in ("debug", "info", "warning", "error") if logging.getLevelNamesMapping()[n.upper()] >= number
    ]
    assert all(line["event"] == "something" and line["size"] == 3 and "timestamp" in line for line in lines)
