import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from fastapi import FastAPI

from app.settings import SettingsError
from app.telemetry.tracing import note, trace_requests


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


def test_missing_libraries_are_one_clear_line(app, monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(SettingsError, match=r"(?s)OTEL_ENDPOINT.*shapespace\[otel\]"):
        trace_requests(app, "http://127.0.0.1:1/v1/traces")


def test_notes_without_a_span_go_nowhere():
    note({"wait_s": 1.0})
