import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from fastapi import FastAPI
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app.main import create_app
from app.settings import SettingsError
from app.telemetry.tracing import note, span, trace_requests


@pytest.fixture
def collector():
    """Address of a server that takes traces, and what it was sent."""
    taken = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            taken.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *words):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/traces", taken
        server.shutdown()


@pytest.fixture
def app():
    app = FastAPI()

    @app.get("/things/{name}")
    def thing(name: str) -> dict:
        note({"wait_s": 0.25})
        return {"name": name}

    @app.get("/healthz")
    def health() -> dict:
        return {}

    return app


def test_request_is_sent_as_a_span_with_its_route(app, collector, connect):
    endpoint, taken = collector
    finish = trace_requests(app, endpoint)
    client = connect(app)
    assert client.get("/things/one", headers={"Authorization": "Bearer secret-word"}).status_code == 200
    assert client.get("/healthz").status_code == 200
    finish()
    assert {path for path, _ in taken} == {"/v1/traces"}
    sent = b"".join(body for _, body in taken)
    assert b"GET /things/{name}" in sent
    assert b"shapespace.wait_s" in sent
    assert b"shapespace" in sent
    assert b"healthz" not in sent
    assert b"secret-word" not in sent


@pytest.fixture
def kept(monkeypatch):
    """Spans stay in memory."""
    kept = InMemorySpanExporter()
    monkeypatch.setattr("opentelemetry.exporter.otlp.proto.http.trace_exporter.OTLPSpanExporter", lambda endpoint: kept)
    monkeypatch.setattr(kept, "shutdown", lambda: None)
    return kept


def test_spans_name_request_and_job_but_not_all_of_its_id(kept, connect, small_settings, tmp_path):
    settings = small_settings.model_copy(
        update={"otel_endpoint": "http://127.0.0.1:1", "state_dir": tmp_path / "state"}
    )
    with connect(create_app(settings)) as client:
        while client.get("/readyz").status_code != 200:
            time.sleep(0.05)
        body = {"molecules": [{"smiles": "CC"}], "num_conformers": 1, "seed": 1, "sampler": {"steps": 2}}
        answers = [
            client.post("/v1/conformers", json=body),
            client.post("/v1/conformers", json=body, headers={"Prefer": "respond-async"}),
        ]
        where = answers[1].headers["location"]
        while client.get(where).json()["state"] in ("queued", "running"):
            time.sleep(0.05)
    spans = kept.get_finished_spans()
    short = where.rsplit("/", 1)[1][:8]
    requests = {one.attributes.get("shapespace.request_id"): one for one in spans if one.name.startswith("POST")}
    first, second = (requests[answer.headers["x-request-id"]] for answer in answers)
    assert "shapespace.job" not in first.attributes
    assert first.attributes["shapespace.sample_s"] > 0
    assert second.attributes["shapespace.job"] == short
    (work,) = [one for one in spans if one.name == "job"]
    assert dict(work.attributes) == {
        "shapespace.job": short, "shapespace.kind": "conformers", "shapespace.items": 1, "shapespace.done": 0
    }  # fmt: skip
    looks = [one for one in spans if one.name == "GET /v1/jobs/{job_id}"]
    assert {one.attributes["shapespace.job"] for one in looks} == {short}
    assert {one.attributes["url.path"] for one in looks} == {f"/v1/jobs/{short}..."}
    assert where.rsplit("/", 1)[1] not in str([one.attributes for one in spans])


def test_missing_libraries_are_one_clear_line(app, monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(SettingsError, match=r"(?s)OTEL_ENDPOINT.*shapespace\[otel\]"):
        trace_requests(app, "http://127.0.0.1:1/v1/traces")


def test_notes_and_spans_that_nobody_asked_for_go_nowhere():
    with span("job", {"job": "abc"}):
        note({"wait_s": 1.0})
