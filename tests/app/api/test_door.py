import asyncio
from types import SimpleNamespace

import pytest
from fastapi import Depends, FastAPI, Request

from app.access.keys import make_key
from app.access.quotas import Quotas
from app.access.ring import KeyRing
from app.api.door import Door, charge, needs
from app.api.handlers import install_handlers
from app.api.middleware import RequestContext
from app.errors import Problem
from app.settings import Settings
from app.telemetry.metrics import Metrics


class House:
    """A small service behind a door, with keys in memory."""

    def __init__(self, connect, locked=True, **settings):
        self.keys, self.full, self.bodies, self.asked = {}, False, 0, []
        self.settings = Settings(**settings)
        app = FastAPI()
        app.state.settings, app.state.quotas = self.settings, Quotas()
        app.add_api_route("/v1/conformers", self.work, methods=["POST"], dependencies=[Depends(needs("sample"))])
        app.add_api_route("/metrics", self.look, dependencies=[Depends(needs("admin"))])
        app.add_api_route("/v1/limits", self.look)
        app.add_api_route("/healthz", self.look)
        install_handlers(app)
        ring = KeyRing(self.keys.get) if locked else None
        app.add_middleware(Door, settings=self.settings, ring=ring, quotas=app.state.quotas, check_open=self.check_open)
        app.add_middleware(RequestContext, max_body_bytes=1000, metrics=Metrics())
        self.app, self.client = app, connect(app)

    async def work(self, request: Request) -> dict:
        body = await request.json()
        self.bodies += 1
        charge(request, body["count"])
        return {"principal": request.state.principal}

    async def look(self, request: Request) -> dict:
        return {"principal": request.state.principal}

    def check_open(self, before):
        self.asked.append(before)
        if self.full:
            raise Problem(503, "overloaded", "full", {"Retry-After": "7"})

    def key(self, *scopes, **fields):
        key, token = make_key("alice", frozenset(scopes or ["sample"]), **fields)
        self.keys[key.id] = key
        return key.id, {"Authorization": f"Bearer {token}"}

    def post(self, headers=None, count=1):
        return self.client.post("/v1/conformers", json={"count": count}, headers=headers)


@pytest.fixture
def house(connect):
    return lambda **options: House(connect, **options)


def test_without_keys_everybody_is_anonymous(house):
    open_house = house(locked=False)
    assert open_house.post().json() == {"principal": "anonymous"}
    assert open_house.client.get("/metrics").status_code == 200


def test_key_names_the_caller(house):
    locked = house()
    name, headers = locked.key()
    assert locked.post(headers).json() == {"principal": name}
    token = headers["Authorization"].split()[1]
    for same in ({"Authorization": f"bearer  {token}"}, {"X-API-Key": token}):
        assert locked.post(same).json() == {"principal": name}


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer"}, {"Authorization": "Basic YTpi"}, {"X-API-Key": "shp_nonsense"},
     {"Authorization": f"Bearer {make_key('stranger')[1]}"}],
)  # fmt: skip
def test_caller_without_a_good_key_is_refused(house, headers):
    response = house().post(headers)
    assert response.status_code == 401
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert response.json()["type"].endswith(":unauthorized")
    assert response.json()["request_id"] == response.headers["x-request-id"]


@pytest.mark.parametrize("path", ["/v1/limits", "/nowhere", "/metrics", "/v1/limits/", "/healthz/", "/v1//limits"])
def test_everything_but_health_and_documentation_needs_a_key(house, path):
    locked = house()
    assert locked.client.get(path).status_code == 401
    assert locked.client.get("/healthz").status_code == 200
    assert locked.client.get("/openapi.json").status_code == 200


@pytest.mark.parametrize("path", ["/metrics", "/metrics%0A"])
def test_scope_is_needed(house, path):
    locked = house()
    name, sampler = locked.key("sample")
    _, admin = locked.key("admin")
    refused = locked.client.get(path, headers=sampler)
    assert refused.status_code in (403, 404)
    if refused.status_code == 403:
        assert name in refused.json()["detail"] and "needed: admin" in refused.json()["detail"]
    assert locked.post(admin).status_code == 403
    assert locked.client.get("/metrics", headers=admin).status_code == 200
    _, both = locked.key("admin", "sample")
    assert locked.post(both).status_code == locked.client.get("/metrics", headers=both).status_code == 200


def test_many_wrong_keys_of_one_address_are_refused_for_a_while(house):
    locked = house()
    name, headers = locked.key()
    wrong = {"Authorization": f"Bearer {make_key('stranger')[1]}"}
    answers = [locked.post(wrong) for _ in range(25)]
    assert [a.status_code for a in answers] == [401] * 20 + [429] * 5
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 120
    assert locked.post(headers).json() == {"principal": name}  # a good key is not shut out by others


def test_requests_over_the_quota_are_refused_before_their_body_is_read(house):
    limited = house(requests_per_minute=2)
    _, alice = limited.key()
    _, bob = limited.key()
    answers = [limited.post(alice) for _ in range(3)]
    assert [a.status_code for a in answers] == [200, 200, 429]
    assert answers[0].headers["ratelimit-policy"] == '"requests";q=2;w=60'
    assert answers[0].headers["ratelimit"].startswith('"requests";r=1;t=')
    assert answers[2].headers["ratelimit"].startswith('"requests";r=0;t=')
    assert answers[2].headers["retry-after"] == answers[2].headers["ratelimit"].rsplit("=")[-1]
    assert answers[2].json()["type"].endswith(":too_many_requests")
    assert limited.bodies == 2
    assert limited.post(bob).status_code == 200
    assert limited.client.get("/v1/limits", headers=alice).status_code == 200  # looking is not counted


def test_quota_of_the_key_goes_before_that_of_the_service(house):
    limited = house(requests_per_minute=1)
    _, patient = limited.key(requests_per_minute=3)
    _, free = limited.key(requests_per_minute=0)
    assert [limited.post(patient).status_code for _ in range(4)] == [200, 200, 200, 429]
    answers = [limited.post(free) for _ in range(4)]
    assert [a.status_code for a in answers] == [200] * 4
    assert "ratelimit" not in answers[0].headers


def test_conformers_are_counted_too(house):
    limited = house(conformers_per_hour=100)
    _, alice = limited.key()
    assert limited.post(alice, 60).headers["ratelimit"].startswith('"conformers";r=40;t=')
    refused = limited.post(alice, 50)
    assert refused.status_code == 429
    assert "40 are left" in refused.json()["detail"]
    assert limited.post(alice, 40).status_code == 200
    never = limited.post(alice, 101)
    assert never.status_code == 422
    assert "at most 100" in never.json()["detail"]


def test_without_keys_quotas_are_counted_by_address(house):
    limited = house(locked=False, requests_per_minute=1)
    assert [limited.post().status_code for _ in range(2)] == [200, 429]


def test_full_service_refuses_before_the_body_is_read(house):
    full = house(locked=False)
    full.full = True
    answer = full.post()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
    assert full.bodies == 0
    assert full.client.get("/v1/limits").status_code == 200


def run(app, messages, sent):
    """One request for work whose body comes from an asynchronous iterator."""
    scope = {
        "type": "http", "method": "POST", "path": "/v1/conformers", "query_string": b"", "client": ("10.0.0.1", 1),
        "headers": [(b"content-type", b"application/json")], "http_version": "1.1", "server": ("here", 80),
        "scheme": "http", "root_path": "", "app": app,
    }  # fmt: skip

    async def receive():
        return await anext(messages)

    async def send(message):
        sent.append(message)

    return app(scope, receive, send)


def part(body, more):
    return {"type": "http.request", "body": body, "more_body": more}


def test_requests_whose_bodies_arrive_are_counted_as_waiting(house):
    busy = house(locked=False)

    async def story():
        gate, first, second = asyncio.Event(), [], []

        async def slow():
            yield part(b'{"count"', True)
            await gate.wait()
            yield part(b": 1}", False)

        async def quick():
            yield part(b'{"count": 1}', False)

        task = asyncio.create_task(run(busy.app, slow(), first))
        while not busy.asked:
            await asyncio.sleep(0)
        await run(busy.app, quick(), second)
        gate.set()
        await task
        await run(busy.app, quick(), [])
        return first[0]["status"], second[0]["status"]

    assert asyncio.run(story()) == (200, 200)
    assert busy.asked == [0, 1, 0]


def test_body_that_does_not_arrive_is_given_up(house):
    hasty = house(locked=False, body_timeout_s=0.05)

    async def story():
        sent = []

        async def trickle():
            while True:
                yield part(b" ", True)
                await asyncio.sleep(0.02)

        await run(hasty.app, trickle(), sent)
        return sent

    sent = asyncio.run(story())
    headers = dict(sent[0]["headers"])
    assert sent[0]["status"] == 408
    assert headers[b"connection"] == b"close"
    assert b"within 0.05 s" in sent[1]["body"]
    assert hasty.bodies == 0
    assert hasty.post().status_code == 200
    assert hasty.asked == [0, 0]  # it is not counted any more


def test_caller_who_leaves_while_sending_is_not_an_error_of_the_service(house, capsys):
    quiet = house(locked=False)

    async def story():
        sent = []

        async def leave():
            yield part(b'{"count"', True)
            yield {"type": "http.disconnect"}

        await run(quiet.app, leave(), sent)
        return sent

    assert asyncio.run(story())[0]["status"] == 499
    assert quiet.asked == [0]


def test_charge_without_a_quota_is_free():
    state = SimpleNamespace(key=None, caller="x", standings=[])
    request = SimpleNamespace(state=state, app=SimpleNamespace(state=SimpleNamespace(settings=Settings())))
    charge(request, 10**9)
    assert state.standings == []
