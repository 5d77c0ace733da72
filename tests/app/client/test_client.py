import httpx
import numpy as np
import pytest
from rdkit import Chem

from app.access.keys import make_key
from app.access.store import KeyStore
from app.client import AccessError, Client, NotFoundError, ServiceError


def client_by(way, **more):
    return Client(transport=httpx.MockTransport(way), **more)


def test_client_returns_rdkit_molecules(served):
    with Client(served()) as client:
        made = client.sample(["CCO", {"smiles": "C[C@H](N)O", "id": "chiral"}, "C(C"], 3, seed=5)
    assert (made.seed, made.model, len(made)) == (5, "quick", 3)
    ethanol, chiral, bad = made
    assert (chiral.id, chiral.status) == ("chiral", "ok")
    assert (bad.mol, bad.status, bad.problems[0]["count"]) == (None, "failed", 3)
    assert [c.GetId() for c in ethanol.mol.GetConformers()] == [c["index"] for c in ethanol.conformers] == [0, 1, 2]
    assert Chem.MolToSmiles(Chem.RemoveHs(ethanol.mol)) == ethanol.smiles == "CCO"
    expected = np.random.default_rng(6).normal(size=(9, 3))
    assert np.abs(ethanol.mol.GetConformer(1).GetPositions() - expected).max() < 1e-3


def test_answer_that_was_lost_is_asked_for_again_and_nothing_is_done_twice(quick, tools, way):
    engine = tools.QuickEngine()
    road = way(quick(engine), lost={1, 2})
    with client_by(road) as client:
        assert client.sample("CC", 2).results[0].status == "ok"
        assert len(road.seen) == 3
        assert len({request.headers["idempotency-key"] for request in road.seen}) == 1
        assert len(engine.tickets) == 1
        client.sample("CC", 2)
    assert len(engine.tickets) == 2, "another request is another key"


def test_submission_that_was_lost_makes_one_job(quick, way):
    with client_by(way(quick(), lost={1, 2})) as client:
        job = client.submit("CC", 2)
        assert [found.id for found in client.jobs()] == [job.id]
        first = client.submit("CC", 1, idempotency_key="mine", seed=1)
        assert client.submit("CC", 1, idempotency_key="mine", seed=1).id == first.id


def test_job_from_submission_to_result(served, tmp_path):
    told = []
    with Client(served()) as client:
        job = client.submit(["CC", "C"], 2, seed=1)
        done = client.wait(job.id, progress=told.append)
        assert (done.kind, done.state, done.ended) == ("conformers", "done", True)
        assert (done.items_done, done.structures, done.structures_returned) == (2, 4, 4)
        assert [entry["status"] for entry in done.entries] == ["ok", "ok"]
        assert told[-1] == done
        assert [r.status for r in client.result(job.id)] == ["ok", "ok"]
        client.download(job.id, tmp_path / "out.sdf")
        assert (tmp_path / "out.sdf").read_text().count("$$$$") == 4
        assert [j.id for j in client.jobs()] == [job.id]
        assert client.cancel(job.id).state == "done"


def test_download_is_whole_or_not_there(served, tmp_path):
    with Client(served(), retries=0) as client:
        with pytest.raises(ServiceError, match="there is no job"):
            client.download("nothing", tmp_path / "out.sdf")
        assert [*tmp_path.glob("out*")] == []


def test_large_request_is_waited_for(served):
    with Client(served(async_above=1)) as client:
        assert client.sample("CC", 4, start="noise").results[0].mol.GetNumConformers() == 4


def test_progress_of_a_request_is_that_of_a_job(quick, tools, way):
    told, road = [], way(quick(tools.QuickEngine()))
    with client_by(road) as client:
        assert client.sample("CC", 4, progress=told.append).results[0].mol.GetNumConformers() == 4
        assert client.sample("CC", 4, progress=True).results[0].status == "ok"
    assert (told[-1].state, told[-1].items_done) == ("done", 1)
    assert road.seen[0].headers["prefer"] == "respond-async"


@pytest.mark.parametrize("by", ["argument", "environment"])
def test_api_key_and_address_are_given_or_from_the_environment(quick, way, monkeypatch, by):
    road, given = way(quick()), {"url": "http://service:1/below", "api_key": "secret"}
    if by == "environment":
        monkeypatch.setenv("SHAPESPACE_URL", given.pop("url"))
        monkeypatch.setenv("SHAPESPACE_API_KEY", given.pop("api_key") + "\n")
    road.answers = [httpx.Response(200, json={"jobs": [], "next": None})]
    with client_by(road, **given) as client:
        client.jobs()
    assert road.seen[0].headers["authorization"] == "Bearer secret"
    assert str(road.seen[0].url) == "http://service:1/below/v1/jobs?limit=100"


@pytest.mark.parametrize(
    "words", [{"url": "127.0.0.1:8000"}, {"url": "ftp://a"}, {"url": "http://"}, {"api_key": "a\nb"}]
)
def test_what_cannot_be_used_is_said_at_once(words):
    with pytest.raises(ValueError, match=r"allowed: http://|copy it again"):
        Client(**words)


def test_service_that_wants_a_key_knows_whose_jobs_are_whose(quick_app, listen):
    app = quick_app(api_keys="required")
    app.state.database.upgrade()
    tokens = []
    for name in ("alice", "bob"):
        key, token = make_key(name)
        KeyStore(app.state.database).add(key)
        tokens.append(token)
    url = listen(app)
    with Client(url, tokens[0]) as alice, Client(url, tokens[1]) as bob, Client(url, "shp_wrong") as nobody:
        job = alice.submit("CC", 1, idempotency_key="same", seed=1)
        assert [found.id for found in alice.jobs()] == [job.id]
        assert bob.jobs() == []
        with pytest.raises(NotFoundError):
            bob.job(job.id)
        assert bob.submit("CC", 1, idempotency_key="same", seed=2).id != job.id, "keys of requests are their owner's"
        with pytest.raises(AccessError, match="key"):
            nobody.jobs()
