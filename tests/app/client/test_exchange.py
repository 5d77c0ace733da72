import httpx
import pytest

from app.client import BusyError, Client, NotFoundError, UnreachableError


def client_by(way, **more):
    return Client(transport=httpx.MockTransport(way), **more)


def test_full_service_is_asked_again_when_it_says(quick, way, pauses):
    busy = [httpx.Response(503, headers={"Retry-After": "7"}), httpx.Response(429), httpx.Response(502)]
    with client_by(way(quick(), answers=busy)) as client:
        client.sample("CC", 1)
    assert pauses == [7.0, 0.5, 1.0]


def test_service_that_wants_much_patience_is_not_asked_again(quick, way, pauses):
    busy = [httpx.Response(429, headers={"Retry-After": "1800"})]
    with client_by(way(quick(), answers=busy)) as client, pytest.raises(BusyError) as caught:
        client.sample("CC", 1)
    assert caught.value.retry_after_s == 1800
    assert pauses == []


def test_service_that_stays_full_is_an_error(quick, way, pauses):
    with client_by(way(quick(), answers=[httpx.Response(503)] * 9), retries=2) as client, pytest.raises(BusyError):
        client.sample("CC", 1)
    assert pauses == [0.25, 0.5]


def test_request_that_is_being_served_is_waited_for(quick, way, pauses):
    problem = {"type": "urn:shapespace:problem:in_progress", "detail": "as job x"}
    road = way(quick(), answers=[httpx.Response(409, json=problem, headers={"Retry-After": "5"})] * 9)
    with client_by(road, retries=2) as client:
        assert client.sample("CC", 1).results[0].status == "ok"
    assert pauses == [5.0] * 9


def test_file_that_is_not_there_yet_is_said_at_once(quick, tools, way, tmp_path, pauses):
    with client_by(way(quick(tools.QuickEngine(tickets=0)))) as client:
        job = client.submit("CC", 1)
        with pytest.raises(BusyError) as caught:
            client.download(job.id, tmp_path / "out.sdf")
    assert (caught.value.reason, caught.value.retry_after_s, pauses) == ("no_result", 5.0, [])


def test_job_is_waited_for_while_its_service_starts_again(quick, way, pauses):
    road = way(quick())
    with client_by(road, retries=2) as client:
        job = client.submit("CC", 1)
        client.wait(job.id)
        road.lost = range(len(road.seen) + 2, len(road.seen) + 7)
        road.answers = [httpx.Response(200, json=job.record | {"state": "running"})]
        assert client.wait(job.id).state == "done"
    assert pauses[-5:] == [0.25, 0.5, 1.0, 2.0, 4.0]


def test_service_that_never_answers_is_an_error(quick, way):
    with client_by(way(quick(), lost=range(99)), retries=2) as client, pytest.raises(UnreachableError) as caught:
        client.jobs()
    assert (caught.value.status, caught.value.reason) == (0, "unreachable")


def test_name_of_a_job_is_only_a_name(quick, way):
    road = way(quick())
    with client_by(road) as client, pytest.raises(NotFoundError):
        client.job("../models?x=1")
    assert road.seen[0].url.raw_path == b"/v1/jobs/..%2Fmodels%3Fx%3D1"


def test_all_pages_are_fetched(quick, way, monkeypatch):
    road = way(quick())
    with client_by(road) as client:
        made = [client.submit("C", 1).id for _ in range(3)]
        monkeypatch.setattr("app.client.exchange._PAGE", 2)
        assert [job.id for job in client.jobs()] == made[::-1]
    assert len(road.seen) == 5
