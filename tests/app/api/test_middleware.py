import json
import re

import pytest
from starlette.responses import PlainTextResponse

from app.api.middleware import RequestContext
from app.telemetry.logs import configure_logs
from app.telemetry.metrics import Metrics

URL = "/v1/conformers"


@pytest.mark.parametrize("path", ["/healthz", "/v1/limits", "/nowhere"])
def test_every_answer_has_its_own_request_id(client, path):
    first, second = (client.get(path).headers["x-request-id"] for _ in range(2))
    assert re.fullmatch("[0-9a-f]{16}", first)
    assert first != second


@pytest.mark.parametrize("path", ["/healthz", "/v1/limits", "/nowhere", "/docs"])
def test_answers_carry_security_headers(client, path):
    headers = client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert ("content-security-policy" in headers) == (path != "/docs")  # the page loads its script


@pytest.mark.parametrize(("path", "status"), [("/v1/limits", 503), ("/docs", 503), ("/healthz", 200), ("/readyz", 200)])
def test_connection_that_is_one_too_many_is_refused_but_for_probes(connect, path, status):
    async def inside(scope, receive, send):
        await PlainTextResponse("inside")(scope, receive, send)

    async def crowded(scope, receive, send):
        if scope["type"] == "http":
            scope["state"] = {"crowded": True}
        await RequestContext(inside, 1000, Metrics())(scope, receive, send)

    answer = connect(crowded).get(path)
    assert answer.status_code == status
    if status == 503:
        assert answer.json()["type"].endswith(":overloaded")
        assert (answer.headers["connection"], answer.headers["retry-after"]) == ("close", "2")
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_request_is_counted_by_its_route_and_not_by_its_address(client):
    def counted(text):
        return [line for line in client.get("/metrics").text.splitlines() if text in line]

    for path in ("/v1/limits", "/v1/limits?x=1", "/made/up/1", "/made/up/2"):
        client.request("GET", path)
    client.request("BREW", "/v1/limits")
    assert not counted("made")
    assert not counted("BREW")
    assert counted('shapespace_http_requests_total{method="GET",route="/v1/limits",status="200"}')
    assert counted('shapespace_http_requests_total{method="other",route=')
    assert counted('shapespace_refusals_total{reason="not_found"}')


def test_log_line_of_a_refused_request_says_why(client, capsys):
    configure_logs("info")
    client.get("/nowhere?token=shp_0123456789ab_secret", headers={"Authorization": "Bearer shp_0123456789ab_secret"})
    text = capsys.readouterr().err
    configure_logs("error")
    (line,) = [json.loads(line) for line in text.splitlines() if '"request"' in line]
    assert (line["path"], line["status"], line["reason"]) == ("/nowhere", 404, "not_found")
    assert "secret" not in text


def test_problem_carries_the_request_id_of_its_header(client):
    response = client.get("/nowhere")
    assert response.json()["request_id"] == response.headers["x-request-id"]


@pytest.mark.parametrize("chunked", [False, True], ids=["whole", "chunked"])
def test_large_body_is_refused(client, chunked):
    body = b'{"molecules":[{"smiles":"' + b"C" * 1_100_000 + b'"}]}'
    parts = (body[k : k + 100_000] for k in range(0, len(body), 100_000))
    response = client.post(URL, content=parts if chunked else body, headers={"Content-Type": "application/json"})
    assert ("content-length" in response.request.headers) != chunked
    assert response.status_code == 413
    assert response.headers["content-type"] == "application/problem+json"
    assert "1000000 bytes" in response.json()["detail"]
    assert response.json()["type"].endswith(":too_large")


def test_body_at_the_limit_is_read(client):
    start, end = b'{"molecules":[{"smiles":"', b'"}], "num_conformers": 0}'
    body = start + b"C" * (1_000_000 - len(start) - len(end)) + end
    response = client.post(URL, content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 422


def test_bug_becomes_a_problem_and_a_log_line(client, ask, monkeypatch, capsys):
    def broken(*args, **options):
        raise RuntimeError("wires crossed")

    configure_logs("error")
    monkeypatch.setattr("app.engine.lane.Lane.step", broken)
    response = ask("C")
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["type"].endswith(":internal")
    assert problem["request_id"] == response.headers["x-request-id"]
    assert problem["request_id"] in problem["detail"]
    assert "wires" not in response.text
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    (line,) = [line for line in lines if line["event"] == "request_failed"]
    assert line["request_id"] == problem["request_id"]
    assert "wires crossed" in line["exception"]
    monkeypatch.undo()
    assert client.get("/readyz").status_code == 200


def test_log_holds_no_id_of_a_job_that_would_open_it(quick, capsys):
    client = quick(log_level="info")
    body = {"molecules": [{"smiles": "C"}], "num_conformers": 1}
    path = client.post(URL, json=body, headers={"Prefer": "respond-async"}).headers["location"]
    client.get(f"{path}/result")
    words = capsys.readouterr().err
    assert f"{path[:17]}.../result" in words
    assert path[9:] not in words
    assert path.rsplit("/", 1)[1] not in words
