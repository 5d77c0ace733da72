import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from app.api.deferred import principal_of

BODY = {
    "molecules": [{"id": "a", "smiles": "CCO"}, {"smiles": "C"}, {"smiles": "bad("}],
    "num_conformers": 3,
    "seed": 4,
}
SDF = {"Accept": "chemical/x-mdl-sdfile"}


def submit(client, **fields):
    answer = client.post("/v1/conformers", json=BODY | fields, headers={"Prefer": "respond-async"})
    assert answer.status_code == 202, answer.text
    return answer.headers["location"]


def wait(client, path, condition=lambda job: job["state"] in ("done", "failed", "cancelled")):
    end = time.monotonic() + 120
    while not condition(job := client.get(path).json()):
        assert time.monotonic() < end, job
        time.sleep(0.01)
    return job


def events(client, path, after=None):
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    answer = client.get(f"{path}/events", headers=headers)
    if answer.status_code != 200:
        return answer, []
    blocks = [dict(line.split(": ", 1) for line in block.split("\n")) for block in answer.text.strip().split("\n\n")]
    return answer, [(int(b["id"]), b["event"], json.loads(b["data"])) for b in blocks if "data" in b]


def test_molecules_of_jobs_are_counted_as_those_of_requests(quick):
    client = quick()
    totals = client.app.state.metrics.totals
    assert client.post("/v1/conformers", json=BODY).status_code == 200
    once = totals()
    wait(client, submit(client))
    twice = totals()
    for name in ("molecules", "conformers", "failures"):
        assert twice[name] == {kind: 2 * number for kind, number in once[name].items()}


def test_repeated_request_is_charged_once(quick):
    client = quick(conformers_per_hour=10)
    answers = [client.post("/v1/conformers", json=BODY, headers={"Idempotency-Key": key}) for key in ("a", "a", "b")]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert "1 are left" in answers[2].json()["detail"]
    assert "ratelimit" not in answers[1].headers


def test_job_gives_the_answer_of_the_same_request(quick, database_url):
    client = quick(database_url=database_url)
    answer = client.post("/v1/conformers", json=BODY, headers={"Prefer": "foo, Respond-Async; wait=10"})
    assert answer.status_code == 202
    assert answer.headers["preference-applied"] == "respond-async"
    path = answer.headers["location"]
    assert answer.json()["links"] == {"self": path, "events": f"{path}/events", "result": f"{path}/result"}
    job = wait(client, path)
    assert job["state"] == "done"
    assert [m["status"] for m in job["molecules"]] == ["ok", "ok", "failed"]
    assert [m["id"] for m in job["molecules"]] == ["a", "molecule-2", "molecule-3"]
    assert job["molecules"][2]["problem"]["reason"] == "unreadable"
    assert job["progress"] == {
        "molecules": 3, "molecules_done": 3, "conformers": 9, "conformers_done": 9, "conformers_returned": 6
    }  # fmt: skip
    assert job["created"] <= job["started"] <= job["ended"] < job["expires"]
    direct = client.post("/v1/conformers", json=BODY).json()
    later = client.get(f"{path}/result").json()
    assert set(later["timing_s"]) == set(direct["timing_s"])
    assert later | {"timing_s": 0} == direct | {"timing_s": 0}
    for kind in ("chemical/x-mdl-sdfile", "chemical/x-pdb", "application/zip"):
        whole = client.post("/v1/conformers", json=BODY, headers={"Accept": kind})
        result = client.get(f"{path}/result", headers={"Accept": kind})
        assert result.content == whole.content
        names = [name for name in whole.headers if name.startswith(("x-shapespace", "content-"))]
        assert {name: result.headers[name] for name in names} == {name: whole.headers[name] for name in names}
        assert result.headers["x-shapespace-state"] == "done"


def test_large_request_becomes_a_job_by_itself(quick):
    client = quick(async_above=8)
    noise = BODY | {"start": "noise"}
    answer = client.post("/v1/conformers", json=noise)
    assert answer.status_code == 202
    assert "preference-applied" not in answer.headers
    assert client.post("/v1/conformers", json=noise | {"num_conformers": 2}).status_code == 200
    assert client.post("/v1/conformers", json=noise | {"sampler": {"steps": 20}}).status_code == 200
    assert client.post("/v1/conformers", json=noise | {"sampler": {"kind": "heun", "steps": 30}}).status_code == 202
    assert client.post("/v1/conformers", json=BODY).status_code == 200


def test_result_comes_in_ranges(quick):
    client = quick()
    path = submit(client)
    wait(client, path)
    whole = client.get(f"{path}/result", headers=SDF)
    assert whole.headers["accept-ranges"] == "bytes"
    assert int(whole.headers["content-length"]) == len(whole.content)
    part = client.get(f"{path}/result", headers=SDF | {"Range": "bytes=100-199", "If-Range": whole.headers["etag"]})
    assert part.status_code == 206
    assert part.content == whole.content[100:200]
    assert part.headers["content-range"] == f"bytes 100-199/{len(whole.content)}"
    assert client.get(f"{path}/result", headers=SDF | {"Range": "bytes=-7"}).content == whole.content[-7:]
    assert client.get(f"{path}/result", headers=SDF | {"Range": "bytes=9999999-"}).status_code == 416
    changed = client.get(f"{path}/result", headers=SDF | {"Range": "bytes=0-1", "If-Range": '"other"'})
    assert changed.status_code == 200
    assert client.get(f"{path}/result").headers["etag"] != whole.headers["etag"]


def test_part_of_a_result_can_be_had_while_the_job_runs(quick, tools):
    engine = tools.QuickEngine(tickets=1)
    client = quick(engine)
    path = submit(client, molecules=[{"smiles": "CC"}, {"smiles": "C"}])
    job = wait(client, path, lambda job: job["progress"]["molecules_done"] == 1)
    assert job["state"] == "running"
    answer = client.get(f"{path}/result")
    assert len(answer.json()["results"]) == 1
    assert (answer.headers["x-shapespace-state"], answer.headers["cache-control"]) == ("running", "no-store")
    assert client.get(f"{path}/result", headers=SDF).text.count("$$$$") == 3
    cancelled = client.delete(path)
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    assert client.delete(path).json()["state"] == "cancelled"
    results = client.get(f"{path}/result").json()["results"]
    assert sorted(r["status"] for r in results) == ["failed", "ok"]
    assert {p["reason"] for r in results for p in r["problems"]} == {"cancelled"}
    assert engine.tickets[1].over()


def test_file_that_has_no_structure_yet_is_a_conflict(quick, tools):
    client = quick(tools.QuickEngine(tickets=0))
    path = submit(client)
    answer = client.get(f"{path}/result", headers=SDF)
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:shapespace:problem:no_result")
    assert "retry-after" in answer.headers
    client.delete(path)
    answer = client.get(f"{path}/result", headers=SDF)
    assert answer.status_code == 409
    assert "cancelled" in answer.json()["detail"]


def test_queue_tells_places_and_an_estimate(quick, tools):
    client = quick(tools.QuickEngine(tickets=1), jobs_at_once=1)
    paths = [submit(client, molecules=[{"smiles": "C"}, {"smiles": "CC"}]) for _ in range(3)]
    wait(client, paths[0], lambda job: job["progress"]["molecules_done"] == 1)
    jobs = [client.get(path).json() for path in paths]
    assert [job["state"] for job in jobs] == ["running", "queued", "queued"]
    assert [job["queue_position"] for job in jobs] == [None, 0, 1]
    client.app.state.jobs._made.clear()
    client.app.state.jobs._made["conformers"].extend([(0.0, 1), (10.0, 5)])  # two seconds for each conformer
    left = [client.get(path).json()["seconds_left"] for path in paths]
    assert left == [6.0, 18.0, 30.0]


def test_list_is_paged_and_filtered(quick):
    client = quick()
    paths = [submit(client, molecules=[{"smiles": "C"}]) for _ in range(3)]
    for path in paths:
        wait(client, path)
    first = client.get("/v1/jobs?limit=2&state=done").json()
    second = client.get(first["next"]).json()
    listed = [job["links"]["self"] for job in first["jobs"] + second["jobs"]]
    assert listed == paths[::-1]
    assert second["next"] is None
    assert client.get("/v1/jobs?state=queued").json() == {"jobs": [], "next": None}
    for query in ("limit=0", "limit=101", "state=nonsense"):
        assert client.get(f"/v1/jobs?{query}").status_code == 422


def test_jobs_are_seen_by_their_principal_only(quick):
    client = quick()
    path = submit(client)
    client.app.dependency_overrides[principal_of] = lambda: "somebody else"
    for method, address in (("GET", path), ("GET", f"{path}/result"), ("GET", f"{path}/events"), ("DELETE", path)):
        answer = client.request(method, address)
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:shapespace:problem:not_found")
    assert client.get("/v1/jobs").json()["jobs"] == []


def test_events_tell_everything_once_in_order(quick):
    client = quick()
    path = submit(client)
    answer, told = events(client, path)
    assert answer.headers["content-type"].startswith("text/event-stream")
    numbers = [number for number, _, _ in told]
    assert numbers == sorted(set(numbers))
    assert sorted(data["place"] for _, name, data in told if name == "molecule") == [0, 1, 2]
    assert (told[-1][1], told[-1][2]["state"]) == ("state", "done")


def test_events_resume_after_the_last_that_was_seen(quick):
    client = quick()
    path = submit(client)
    wait(client, path)
    _, told = events(client, path)
    for k, (number, _, _) in enumerate(told[:-1]):
        assert events(client, path, number)[1] == told[k + 1 :]
    assert events(client, path, told[-1][0])[0].status_code == 204
    assert events(client, path, "x")[0].status_code == 422


def test_events_of_a_running_job_come_as_they_happen(quick, tools):
    engine = tools.QuickEngine(tickets=1)
    client = quick(engine)
    path = submit(client, molecules=[{"smiles": "CC"}, {"smiles": "C"}])
    wait(client, path, lambda job: job["progress"]["molecules_done"] == 1)
    with ThreadPoolExecutor(1) as thread:
        stream = thread.submit(events, client, path)
        time.sleep(0.2)
        assert not stream.done()
        client.delete(path)
        _, told = stream.result(60)
    assert [name for _, name, _ in told].count("molecule") == 1
    assert told[-1][2]["state"] == "cancelled"


def test_request_with_a_key_is_carried_out_once(quick, tools, database_url):
    engine = tools.QuickEngine()
    client = quick(engine, database_url=database_url)
    key = {"Idempotency-Key": "k1"}
    first = client.post("/v1/conformers", json=BODY, headers=key)
    assert first.status_code == 200
    assert (first.headers["idempotency-replayed"], len(engine.tickets)) == ("false", 2)
    assert {ticket.priority for ticket in engine.tickets} == {0}
    again = client.post("/v1/conformers", json=BODY, headers=key)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == first.json()
    assert client.post("/v1/conformers", json=BODY, headers=key | SDF).text.count("$$$$") == 6
    assert len(engine.tickets) == 2
    other = client.post("/v1/conformers", json=BODY | {"seed": 5}, headers=key)
    assert (other.status_code, other.json()["type"]) == (422, "urn:shapespace:problem:key_reused")
    assert client.get(first.headers["content-location"]).json() == first.json()


def test_seed_that_was_drawn_is_replayed(quick):
    client = quick()
    body = {"molecules": [{"smiles": "C"}], "num_conformers": 1}
    seeds = {client.post("/v1/conformers", json=body, headers={"Idempotency-Key": "k"}).json()["seed"] for _ in "ab"}
    assert len(seeds) == 1


def test_same_key_at_once_is_carried_out_once(quick, tools, database_url):
    engine = tools.QuickEngine(tickets=0)
    client = quick(engine, database_url=database_url)
    key = {"Idempotency-Key": "k1"}
    with ThreadPoolExecutor(6) as threads:
        calls = [threads.submit(client.post, "/v1/conformers", json=BODY, headers=key) for _ in range(6)]
        end = time.monotonic() + 120
        while sum(call.done() for call in calls) < 5 or len(engine.tickets) < 2:
            assert time.monotonic() < end
            time.sleep(0.01)
        refused = [call.result() for call in calls if call.done()]
        assert {answer.status_code for answer in refused} == {409}
        assert all("retry-after" in answer.headers for answer in refused)
        for ticket in engine.tickets:
            engine._answer(ticket)
        answers = [call.result(60) for call in calls]
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 5
    assert len(engine.tickets) == 2
    assert len(client.get("/v1/jobs").json()["jobs"]) == 1


def test_key_and_preference_lead_to_the_same_job_again(quick):
    client = quick()
    headers = {"Idempotency-Key": "k1", "Prefer": "respond-async"}
    answers = [client.post("/v1/conformers", json=BODY, headers=headers) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.headers["location"] for answer in answers}) == 1


def test_request_with_a_key_that_takes_too_long_becomes_a_job(quick, tools):
    client = quick(tools.QuickEngine(tickets=0), request_timeout_s=0.2)
    answer = client.post("/v1/conformers", json=BODY, headers={"Idempotency-Key": "k1"})
    assert answer.status_code == 202
    assert answer.json()["state"] in ("queued", "running")
    assert client.get(answer.headers["location"]).status_code == 200


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
def test_key_that_cannot_be_kept_is_refused(quick, key):
    answer = quick().post("/v1/conformers", json=BODY, headers={"Idempotency-Key": key})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "Idempotency-Key"


def test_too_many_jobs_are_a_503(quick, tools):
    client = quick(tools.QuickEngine(tickets=0), max_jobs=2)
    for _ in range(2):
        submit(client)
    answer = client.post("/v1/conformers", json=BODY, headers={"Prefer": "respond-async"})
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:shapespace:problem:overloaded")
    assert "retry-after" in answer.headers
    assert client.post("/v1/conformers", json={"molecules": []}).status_code == 422


def test_database_that_is_gone_is_a_503_and_nothing_is_lost(quick, tmp_path):
    client = quick()
    path = submit(client)
    wait(client, path)
    engine = client.app.state.database._engine
    engine.dispose()
    for name in ("shapespace.db", "shapespace.db-wal", "shapespace.db-shm"):
        if (tmp_path / "state" / name).exists():
            (tmp_path / "state" / name).rename(tmp_path / name)
    (tmp_path / "state" / "shapespace.db").mkdir()
    for method, address, headers in (
        ("GET", path, {}),
        ("GET", "/v1/jobs", {}),
        ("POST", "/v1/conformers", {"Prefer": "respond-async"}),
        ("POST", "/v1/conformers", {"Idempotency-Key": "k"}),
    ):
        answer = client.request(method, address, json=BODY if method == "POST" else None, headers=headers)
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:shapespace:problem:storage_unavailable")
        assert "retry-after" in answer.headers
    assert client.post("/v1/conformers", json=BODY).status_code == 200
    (tmp_path / "state" / "shapespace.db").rmdir()
    for name in ("shapespace.db", "shapespace.db-wal", "shapespace.db-shm"):
        if (tmp_path / name).exists():
            (tmp_path / name).rename(tmp_path / "state" / name)
    assert client.get(path).json()["state"] == "done"
    assert len(client.get(f"{path}/result").json()["results"]) == 3


def test_result_without_room_for_a_copy_is_sent_all_the_same(quick, monkeypatch):
    client = quick()
    path = submit(client)
    wait(client, path)

    def full(job_id):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(client.app.state.jobs.files, "answers", full)
    answer = client.get(f"{path}/result", headers=SDF)
    assert answer.status_code == 200
    assert answer.text.count("$$$$") == 6


def test_result_that_cannot_be_read_is_a_503(quick, tmp_path):
    client = quick()
    path = submit(client)
    wait(client, path)
    (tmp_path / "state" / "results").rename(tmp_path / "away")
    answer = client.get(f"{path}/result")
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:shapespace:problem:storage_unavailable")


def test_job_that_waits_its_turn_is_cancelled_at_once(quick, tools):
    engine = tools.QuickEngine(tickets=0)
    client = quick(engine, jobs_at_once=1)
    paths = [submit(client, molecules=[{"smiles": "C"}]) for _ in range(3)]
    wait(client, paths[0], lambda job: job["state"] == "running")
    assert client.get(paths[2]).json()["queue_position"] == 1
    assert client.delete(paths[1]).json()["state"] == "cancelled"
    job = client.get(paths[1]).json()
    assert (job["started"], job["queue_position"], job["progress"]["molecules_done"]) == (None, None, 0)
    assert client.get(paths[2]).json()["queue_position"] == 0
    assert events(client, paths[1])[1][-1][2]["state"] == "cancelled"
    assert len(engine.tickets) == 1


def test_results_that_cannot_be_kept_are_a_503_and_nothing_is_lost(quick, monkeypatch):
    client = quick()
    files, full = client.app.state.jobs.files, [True]

    def unless_full(work):
        def done(*words):
            if full:
                raise OSError(28, "No space left on device")
            return work(*words)

        return done

    monkeypatch.setattr(files, "write", unless_full(files.write))
    monkeypatch.setattr(files, "probe", unless_full(files.probe))
    path = submit(client)
    wait(client, path, lambda job: client.app.state.jobs._trouble)
    answer = client.post("/v1/conformers", json=BODY, headers={"Prefer": "respond-async"})
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:shapespace:problem:storage_unavailable")
    assert "No space left" in answer.json()["detail"]
    assert client.post("/v1/conformers", json=BODY).status_code == 200
    assert client.get(path).json()["state"] == "running"
    full.clear()
    assert wait(client, path)["progress"]["conformers_returned"] == 6
    wait(client, submit(client))


def test_stream_whose_reader_is_gone_ends(tools, quick_app, listen):
    app = quick_app(tools.QuickEngine(tickets=0))
    service, looks = app.state.jobs, []
    plain = service.store.events
    service.store.events = lambda *words: looks.append(words) or plain(*words)
    with httpx.Client(base_url=listen(app)) as client:
        path = submit(client)
        end, before = time.monotonic() + 120, -1
        with client.stream("GET", f"{path}/events") as stream:
            lines = stream.iter_lines()  # held: a reader that is collected closes the stream
            next(lines)
            while not looks:
                assert time.monotonic() < end
                time.sleep(0.01)
        while before != len(looks):  # a stream looks every second
            assert time.monotonic() < end
            before = len(looks)
            time.sleep(1.5)


def test_download_goes_on_when_its_job_expires(quick_app, listen, tmp_path):
    app = quick_app()
    with httpx.Client(base_url=listen(app)) as client:
        path = submit(client, molecules=[{"smiles": "C" * 20}], num_conformers=900)
        wait(client, path)
        whole = client.get(f"{path}/result", headers=SDF).content
        assert len(whole) > 2**22  # more than fits between here and there
        with client.stream("GET", f"{path}/result", headers=SDF) as stream:
            chunks = stream.iter_bytes(2**16)
            part = next(chunks)
            app.state.jobs.retention_s = 0.0
            asyncio.run_coroutine_threadsafe(app.state.jobs._sweep(), app.state.jobs._loop.get_loop()).result(60)
            assert client.get(path).status_code == 404
            assert not [*(tmp_path / "state" / "results").iterdir()]
            assert part + b"".join(chunks) == whole
