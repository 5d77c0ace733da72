import json
import re

import pytest

from app.main import configure_logs

URL = "/v1/conformers"


@pytest.mark.parametrize("path", ["/healthz", "/v1/limits", "/nowhere"])
def test_every_answer_has_its_own_request_id(client, path):
    first, second = (client.get(path).headers["x-request-id"] for _ in range(2))
    assert re.fullmatch("[0-9a-f]{16}", first)
    assert first != second


def test_answers_are_not_to_be_guessed_at(client):
    assert client.get("/healthz").headers["x-content-type-options"] == "nosniff"


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
    monkeypatch.setattr("app.engine.engine.generate", broken)
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
