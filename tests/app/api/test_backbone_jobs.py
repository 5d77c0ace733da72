import io
import json
import time
import zipfile

import pytest

from app.api.backbone_schemas import BackbonesResponse
from app.api.job_schemas import BackbonesJobDetail, JobPage

BODY = {"lengths": [12, 20, 12], "num_samples": 2, "seed": 4, "sampler": {"steps": 4}}
ASYNC = {"Prefer": "respond-async"}
PDB, CIF = ({"Accept": kind} for kind in ("chemical/x-pdb", "chemical/x-mmcif"))


def submit(client, **fields):
    answer = client.post("/v1/backbones", json=BODY | fields, headers=ASYNC)
    assert answer.status_code == 202, answer.text
    return answer.headers["location"]


def wait(client, path, condition=lambda job: job["state"] in ("done", "failed", "cancelled")):
    end = time.monotonic() + 120
    while not condition(job := client.get(path).json()):
        assert time.monotonic() < end, job
        time.sleep(0.01)
    return job


def test_job_gives_the_answer_of_the_same_request(quick, database_url):
    client = quick(database_url=database_url)
    answer = client.post("/v1/backbones", json=BODY, headers=ASYNC)
    assert answer.status_code == 202
    assert answer.headers["preference-applied"] == "respond-async"
    BackbonesJobDetail.model_validate(answer.json())
    path = answer.headers["location"]
    job = wait(client, path)
    assert (job["kind"], job["state"], job["model"]) == ("backbones", "done", "quick-chains")
    assert job["progress"] == {
        "lengths": 3, "lengths_done": 3, "samples": 6, "samples_done": 6, "samples_returned": 6
    }  # fmt: skip
    assert [(one["id"], one["status"], one["num_returned"]) for one in job["lengths"]] == [
        ("12-1", "ok", 2), ("20-2", "ok", 2), ("12-3", "ok", 2)
    ]  # fmt: skip
    direct = client.post("/v1/backbones", json=BODY).json()
    later = client.get(f"{path}/result").json()
    BackbonesResponse.model_validate(later)
    assert [s["seed"] for s in later["results"][2]["samples"]] == [6, 7]
    assert set(later["timing_s"]) == set(direct["timing_s"])
    assert later | {"timing_s": 0} == direct | {"timing_s": 0}
    refused = client.get(f"{path}/result", headers=PDB)
    assert (refused.status_code, "ask for a zip" in refused.json()["detail"]) == (422, True)
    for kind in ("chemical/x-mmcif", "application/vnd.binarycif", "application/zip"):
        whole = client.post("/v1/backbones", json=BODY, headers={"Accept": kind})
        result = client.get(f"{path}/result", headers={"Accept": kind})
        assert result.content == whole.content
        names = [name for name in whole.headers if name.startswith(("x-shapespace", "content-"))]
        assert {name: result.headers[name] for name in names} == {name: whole.headers[name] for name in names}


def test_result_comes_in_ranges_and_not_in_formats_of_molecules(quick):
    client = quick()
    path = submit(client, lengths=[12, 12])
    wait(client, path)
    whole = client.get(f"{path}/result", headers=PDB)
    part = client.get(f"{path}/result", headers=PDB | {"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, whole.content[100:200])
    refused = client.get(f"{path}/result", headers={"Accept": "chemical/x-mdl-sdfile"})
    assert refused.status_code == 406
    assert "chemical/x-pdb" in refused.json()["detail"]


def test_part_of_a_result_can_be_had_while_the_job_runs_and_after_it_was_cancelled(quick, tools):
    engine = tools.QuickEngine(tickets=1)
    client = quick(engine)
    path = submit(client, lengths=[12, 20])
    assert wait(client, path, lambda job: job["progress"]["lengths_done"] == 1)["state"] == "running"
    assert len(client.get(f"{path}/result").json()["results"]) == 1
    part = client.get(f"{path}/result", headers=PDB)
    assert (part.headers["x-shapespace-returned"], part.headers["x-shapespace-requested"]) == ("2", "2")
    assert client.delete(path).json()["state"] == "cancelled"
    results = client.get(f"{path}/result").json()["results"]
    assert [(r["index"], r["num_requested"]) for r in results] == [(0, 2), (1, 2)]
    assert sorted((r["status"], r["reason"]) for r in results) == [("failed", "cancelled"), ("ok", None)]
    zipped = zipfile.ZipFile(io.BytesIO(client.get(f"{path}/result", headers={"Accept": "application/zip"}).content))
    assert len([name for name in zipped.namelist() if name.endswith(".pdb")]) == 2
    assert engine.tickets[1].over()


def test_samples_of_a_length_are_counted_as_they_are_made(quick, tools):
    engine = tools.QuickEngine(tickets=0)
    client = quick(engine)
    path = submit(client, lengths=[12, 20], num_samples=9)
    wait(client, path, lambda job: len(engine.tickets) == 2)
    for ticket, made in zip(engine.tickets, (5, 2), strict=True):
        ticket.made = made
    job = wait(client, path, lambda job: job["progress"]["samples_returned"] == 7)
    assert sorted(length["num_returned"] for length in job["lengths"]) == [2, 5]
    assert (job["state"], job["progress"]["samples_done"], job["lengths"][0]["status"]) == ("running", 0, "waiting")
    engine._answer(engine.tickets[0])
    job = wait(client, path, lambda job: job["progress"]["samples_done"] == 9)
    assert job["progress"]["samples_returned"] == 11
    assert client.delete(path).json()["progress"]["samples_returned"] == 9, "what is not kept does not count"


def test_length_that_the_sampler_fails_on_fails_alone(quick, tools, monkeypatch):
    monkeypatch.setattr("app.jobs.maker._PAUSE_S", 0.0)
    engine = tools.QuickEngine()
    answer = engine._answer

    def fail(ticket):
        if ticket.molecules[0].length == 20:
            ticket.future.set_exception(RuntimeError("a broken device"))
        else:
            answer(ticket)

    engine._answer = fail
    client = quick(engine)
    path = submit(client)
    assert wait(client, path)["lengths"][1]["problem"]["reason"] == "sampling_failed"
    results = client.get(f"{path}/result").json()["results"]
    assert [r["reason"] for r in results] == [None, "sampling_failed", None]
    path = submit(client, lengths=[20])
    wait(client, path)
    refused = client.get(f"{path}/result", headers=PDB)
    assert refused.status_code == 422
    assert "the sampler failed on this one" in refused.json()["detail"]


def test_large_request_becomes_a_job_by_itself(quick):
    client = quick(async_above_residues=3)  # 44 residues, twice, 4 steps of 100: 3.52
    answer = client.post("/v1/backbones", json=BODY)
    assert answer.status_code == 202
    assert "preference-applied" not in answer.headers
    assert client.post("/v1/backbones", json=BODY | {"num_samples": 1}).status_code == 200
    assert client.post("/v1/backbones", json=BODY | {"num_samples": 1, "sampler": {"steps": 8}}).status_code == 202
    heun = BODY | {"num_samples": 1, "sampler": {"kind": "heun", "steps": 4}}
    assert client.post("/v1/backbones", json=heun).status_code == 202


def test_work_over_the_limit_is_refused_for_jobs_too(quick):
    answer = quick(max_residues=3).post("/v1/backbones", json=BODY, headers=ASYNC)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "num_samples"


def test_request_with_a_key_is_carried_out_once(quick, tools, database_url):
    engine = tools.QuickEngine()
    client = quick(engine, database_url=database_url)
    key = {"Idempotency-Key": "k1"}
    body = {name: value for name, value in BODY.items() if name != "seed"}
    first = client.post("/v1/backbones", json=body, headers=key)
    assert (first.status_code, first.headers["idempotency-replayed"]) == (200, "false")
    assert {ticket.priority for ticket in engine.tickets} == {0}
    again = client.post("/v1/backbones", json=body, headers=key)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == first.json(), "the seed that was drawn is kept"
    assert client.post("/v1/backbones", json=body, headers=key | CIF).status_code == 200
    assert len(engine.tickets) == 3
    molecules = {"molecules": [{"smiles": "C"}]}
    for path, other in (("/v1/backbones", BODY), ("/v1/conformers", molecules)):
        refused = client.post(path, json=other, headers=key)
        assert (refused.status_code, refused.json()["type"]) == (422, "urn:shapespace:problem:key_reused")


def test_repeated_request_is_charged_once(quick):
    client = quick(conformers_per_hour=10)
    answers = [client.post("/v1/backbones", json=BODY, headers={"Idempotency-Key": key}) for key in ("a", "a", "b")]
    assert [answer.status_code for answer in answers] == [200, 200, 429]


def test_structure_that_was_given_is_kept_with_the_job(quick, tools, chain_text):
    engine = tools.QuickEngine()
    client = quick(engine)
    path = submit(client, lengths=None, start={"structure": chain_text, "t": 0.5}, fixed=["A10-20"])
    wait(client, path)
    (subject,) = engine.tickets[0].molecules
    assert (subject.length, subject.start.shape, int(subject.fixed.sum())) == (30, (30, 4, 3), 11)
    template = client.get(f"{path}/result").json()["template"]
    assert template == {"chain": "A", "first": "5", "last": "34", "residues": 30, "fixed": 11, "places": ["6-16"]}
    path = submit(client, lengths=[20, 33], start={"structure": chain_text}, fixed=["A10-20"], at=[7])
    wait(client, path)
    subjects = [ticket.molecules[0] for ticket in engine.tickets[1:]]
    assert sorted((subject.length, int(subject.fixed.sum())) for subject in subjects) == [(20, 11), (33, 11)]
    assert client.get(f"{path}/result").json()["template"]["places"] == ["7-17"]


def test_events_tell_of_every_length_once(quick):
    client = quick()
    path = submit(client)
    wait(client, path)
    text = client.get(f"{path}/events").text
    blocks = [dict(line.split(": ", 1) for line in block.split("\n")) for block in text.strip().split("\n\n")]
    told = [(block["event"], json.loads(block["data"])) for block in blocks if "data" in block]
    assert sorted(data["place"] for name, data in told if name == "length") == [0, 1, 2]
    assert (told[-1][0], told[-1][1]["kind"], told[-1][1]["state"]) == ("state", "backbones", "done")


def test_backbones_of_jobs_are_counted_as_those_of_requests(quick):
    client = quick()
    totals = client.app.state.metrics.totals
    assert client.post("/v1/backbones", json=BODY).status_code == 200
    assert totals()["backbones"] == {"all": 6}
    wait(client, submit(client))
    assert totals()["backbones"] == {"all": 12}


def test_both_kinds_share_list_and_queue(quick, tools):
    client = quick(tools.QuickEngine(tickets=2), jobs_at_once=1)
    paths = [submit(client)]
    body = {"molecules": [{"smiles": "C"}, {"smiles": "CC"}], "num_conformers": 3, "seed": 1}
    paths.append(client.post("/v1/conformers", json=body, headers=ASYNC).headers["location"])
    paths.append(submit(client))
    wait(client, paths[0], lambda job: job["progress"]["lengths_done"] == 2)
    page = JobPage.model_validate(client.get("/v1/jobs").json())
    assert [job.kind for job in page.jobs] == ["backbones", "conformers", "backbones"]
    assert [client.get(path).json()["queue_position"] for path in paths] == [None, 0, 1]
    made = client.app.state.jobs._made
    made["backbones"].clear()
    made["backbones"].extend([(0.0, 1), (10.0, 5)])  # two seconds for each
    assert [client.get(path).json()["seconds_left"] for path in paths] == [4.0, None, None]
    made["conformers"].extend([(0.0, 1), (10.0, 10)])  # one
    assert [client.get(path).json()["seconds_left"] for path in paths] == [4.0, 10.0, 22.0]


def test_service_without_a_model_of_backbones_has_no_jobs_of_them(quick, tools):
    engine = tools.QuickEngine()
    del engine.served["backbones"]
    answer = quick(engine).post("/v1/backbones", json=BODY, headers=ASYNC)
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:shapespace:problem:not_served")


@pytest.mark.parametrize("headers", [ASYNC, {"Idempotency-Key": "k"}])
def test_job_of_the_real_sampler_gives_the_structures_of_a_request(chain_client, headers):
    body = {"lengths": [14, 16], "num_samples": 2, "seed": 9, "sampler": {"steps": 4}, "keep_failed": True}
    answer = chain_client.post("/v1/backbones", json=body, headers=headers)
    path = answer.headers.get("location") or answer.headers["content-location"].removesuffix("/result")
    wait(chain_client, path)
    made, plain = chain_client.get(f"{path}/result").json(), chain_client.post("/v1/backbones", json=body).json()
    for one, other in zip(made["results"], plain["results"], strict=True):
        assert [s["seed"] for s in one["samples"]] == [s["seed"] for s in other["samples"]]
        assert [s["quality"]["fault"] for s in one["samples"]] == [s["quality"]["fault"] for s in other["samples"]]
