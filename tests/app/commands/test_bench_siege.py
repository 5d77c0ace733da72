import asyncio
import json
from contextlib import contextmanager
from random import Random

import httpx
import pytest

from app.commands import bench_siege
from app.commands.bench_siege import Kept, besiege, count_kept, kill_at_random

GOOD = [{"id": name, "conformers": [{"index": 0}, {"index": 1}]} for name in ("a", "b")]


def test_what_is_lost_or_doubled_is_counted():
    assert count_kept(3, ["a", "b"], 2, GOOD) == Kept(3, 0, 0)
    assert count_kept(3, ["a", "b"], 2, GOOD[:1]) == Kept(3, 2, 0)
    assert count_kept(3, ["a", "b"], 2, [*GOOD, GOOD[0]]) == Kept(3, 0, 2)
    assert count_kept(3, ["a"], 2, GOOD) == Kept(3, 0, 2)
    assert count_kept(3, ["a"], 1, [{"id": "a", "conformers": []}]) == Kept(3, 1, 0)


@pytest.fixture
def service(monkeypatch):
    """Stands for servers with one state: a job that runs until the second look of the last of them."""
    seen = {"servers": 0, "jobs": [], "looks": 0}

    def answer(request):
        if request.method == "POST":
            seen["jobs"].append((json.loads(request.content), request.headers["prefer"]))
            return httpx.Response(202, headers={"Location": "/v1/jobs/x"})
        if request.url.path == "/v1/jobs/x":
            seen["looks"] += 1
            return httpx.Response(200, json={"state": "running" if seen["looks"] < 2 else "done"})
        body, _ = seen["jobs"][0]
        conformers = [{"index": k} for k in range(body["num_conformers"])]
        results = [{"id": molecule["id"], "conformers": conformers} for molecule in body["molecules"]]
        return httpx.Response(200, json={"results": results[1:]})  # one is lost

    client = httpx.Client
    monkeypatch.setattr(
        bench_siege.httpx, "Client", lambda **given: client(**given, transport=httpx.MockTransport(answer))
    )
    monkeypatch.setattr(bench_siege.time, "sleep", lambda seconds: None)

    @contextmanager
    def serve():
        seen["servers"] += 1
        yield "http://test"

    return serve, seen


def test_job_is_submitted_once_and_ended_by_the_last_server(service):
    serve, seen = service
    kept = kill_at_random(serve, "CCO", 3, Random(1))
    ((body, prefer),) = seen["jobs"]
    assert (seen["servers"], seen["looks"], prefer) == (4, 2, "respond-async")
    assert len({molecule["id"] for molecule in body["molecules"]}) == len(body["molecules"]) == 16
    assert kept == Kept(3, body["num_conformers"], 0)


def test_siege_tells_of_a_service_that_dies(monkeypatch):
    alive = [True]

    def answer(request):
        if b"bomb" in request.content:
            alive.clear()
        if not alive:
            raise httpx.ConnectError("refused", request=request)
        return httpx.Response(200, json={"results": [{"status": "ok"}]})

    client = httpx.AsyncClient
    monkeypatch.setattr(
        bench_siege.httpx, "AsyncClient", lambda **given: client(**given, transport=httpx.MockTransport(answer))
    )
    monkeypatch.setattr(bench_siege, "_PAUSE_S", 0.0)
    calm, bomb = {"kind": "smiles", "data": "C"}, {"kind": "smiles", "data": "bomb"}
    quiet = asyncio.run(besiege("http://test", "CCO", [calm, calm]))
    assert ([status for status, _ in quiet.answers], quiet.ready) == ([200, 200], True)
    assert all(ok for ok, _ in quiet.neighbours)
    assert len(quiet.alone_s) == 10
    dead = asyncio.run(besiege("http://test", "CCO", [calm, bomb]))
    assert ([status for status, _ in dead.answers], dead.ready) == ([200, 599], False)
