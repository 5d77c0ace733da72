import json
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.engine.engine import EngineError
from models.errors import FormatError

URL = "/v1/conformers"
JSON = {"Content-Type": "application/json"}
GOOD = {"molecules": [{"id": "a", "smiles": "C"}], "num_conformers": 1, "seed": 1, "sampler": {"steps": 2}}


def check_problem(response, status):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert {"type", "title", "status", "detail", "request_id"} <= set(problem)
    assert problem["status"] == status
    assert len(problem["detail"]) < 1000
    return problem


def first_error(response):
    return check_problem(response, 422)["errors"][0]


@pytest.mark.parametrize(
    ("change", "field", "value", "allowed"),
    [
        ({"num_conformers": "10"}, "num_conformers", "10", "integer"),
        ({"num_conformers": True}, "num_conformers", True, "integer"),
        ({"num_conformers": 1.5}, "num_conformers", 1.5, "integer"),
        ({"num_conformers": 0}, "num_conformers", 0, "at least 1"),
        ({"num_conformers": 21}, "num_conformers", 21, "1 to 20"),
        ({"num_conformers": 10**40}, "num_conformers", str(10**40), "1 to 20"),
        ({"molecules": [{"smiles": "C"}] * 5000}, "molecules", None, "at most 4096 items"),
        ({"seed": -1}, "seed", -1, "at least 0"),
        ({"seed": 2**53}, "seed", 2**53, f"at most {2**53 - 1}"),
        ({"seed": "1"}, "seed", "1", "integer"),
        ({"sampler": {"kind": "magic"}}, "sampler.kind", "magic", "'ode', 'heun' or 'sde'"),
        ({"sampler": {"steps": 0}}, "sampler.steps", 0, "at least 1"),
        ({"sampler": {"steps": 1001}}, "sampler.steps", 1001, "at most 1000"),
        ({"sampler": {"speed": 1}}, "sampler.speed", 1, "the fields kind, steps, schedule"),
        ({"sampler": 3}, "sampler", 3, "object"),
        ({"format": "mol2"}, "format", "mol2", "'sdf', 'pdb', 'xyz', 'mmcif' or 'json'"),
        ({"stereo": "all"}, "stereo", "all", "'sample' or 'enumerate'"),
        ({"model": "other"}, "model", "other", "molecules-small"),
        ({"colour": "red"}, "colour", "red", "the fields molecules, num_conformers, seed"),
        ({"molecules": []}, "molecules", "[]", "at least 1 items"),
        ({"molecules": {}}, "molecules", "{}", "a list"),
        ({"molecules": ["C"]}, "molecules[0]", "C", "object"),
        ({"molecules": [{"smiles": "C"}] * 9}, "molecules", 9, "1 to 8"),
        ({"molecules": [{"smiles": "C"}] * 7, "num_conformers": 9}, "num_conformers", 9, "at most 60 in all"),
        (
            {"stereo": "enumerate", "num_conformers": 10, "max_stereoisomers": 7},
            "num_conformers",
            10,
            "at most 60 in all",
        ),
        ({"molecules": [{"id": "a"}]}, "molecules[0]", "{'id': 'a'}", "exactly one of smiles and molblock"),
        (
            {"molecules": [{"smiles": "C", "molblock": "D"}]},
            "molecules[0]",
            "{'molblock': 'D', 'smiles': 'C'}",
            "exactly one of smiles and molblock",
        ),
        ({"molecules": [{"smiles": "C"}, {"smiles": 5}]}, "molecules[1].smiles", 5, "string"),
        ({"molecules": [{"smiles": "C", "name": 1}]}, "molecules[0].name", 1, "the fields id, smiles, molblock"),
        ({"molecules": [{"smiles": "C", "id": "b\nc"}]}, "molecules[0].id", "b\nc", "text matching"),
        ({"molecules": [{"smiles": "C", "id": "x" * 81}]}, "molecules[0].id", "x" * 77 + "...", "at most 80 long"),
        ({"molecules": [{"smiles": "C", "id": "a"}, {"smiles": "O", "id": "a"}]}, "molecules", "a", "ids that differ"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_problem_names_field_value_and_what_is_allowed(client, change, field, value, allowed):
    error = first_error(client.post(URL, json=GOOD | change))
    assert error["field"] == field
    assert error["value"] == value or value is None
    assert allowed in error["allowed"]
    assert error["message"]


def test_problem_of_a_missing_field_lists_the_fields(client):
    error = first_error(client.post(URL, json={"num_conformers": 1}))
    assert error["field"] == "molecules"
    assert "the fields molecules" in error["allowed"]


def test_problem_lists_every_wrong_field(client):
    problem = check_problem(client.post(URL, json=GOOD | {"seed": "x", "format": 1, "odd": 2}), 422)
    assert {error["field"] for error in problem["errors"]} == {"seed", "format", "odd"}
    assert "and 2 more" in problem["detail"]


def test_problem_lists_no_more_than_twenty_fields(client):
    problem = check_problem(client.post(URL, json={"molecules": [{"smiles": k} for k in range(500)]}), 422)
    assert len(problem["errors"]) == 20
    assert "and 499 more" in problem["detail"]


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{", b"nonsense", b"null", b"[]", b"7", b'"text"', b"{}", b"\xff\xfe{}",
        b'{"molecules":[{"smiles":"\xe9"}]}',
        b'{"molecules":[{"smiles":"C"}],"seed":NaN}', b'{"molecules":[{"smiles":"C"}],"seed":Infinity}',
        b'{"molecules":[{"smiles":"C"}],"seed":1e400}', b'{"molecules":[{"smiles":"C"}],"num_conformers":-1e400}',
        b'{"molecules":[{"smiles":"C"}],"seed":' + b"9" * 5000 + b"}",
        b'{"molecules":[{"smiles":"C"}],"num_conformers":' + b"9" * 4000 + b"}",
        b'{"molecules":[{"smiles":"C","id":"\\udfff"}]}',
        b'{"molecules":[{"smiles":"C","\\ud800":1}]}', b'{"\\ud800":1}',
        b'{"molecules":[{"smiles":"C"}],"format":"\\ud800"}',
        b'{"molecules":[{"smiles":"C"}],"model":"\\ud800"}',
        b"[" * 100_000, b"[" * 900 + b"]" * 900, b'{"molecules":' + b"[" * 700 + b"]" * 700 + b"}", b'{"a":' * 50_000,
        b'{"molecules":[{"smiles":"C"}],"' + b"x" * 100_000 + b'":1}',
    ],
    ids=lambda text: text[:50].decode("ascii", "replace"),
)  # fmt: skip
def test_body_that_cannot_be_used_is_a_problem(client, text):
    response = client.post(URL, content=text, headers=JSON)
    problem = check_problem(response, 422)
    assert problem["type"].split(":")[-1] in ("invalid_json", "invalid_request")
    assert len(response.content) < 5000
    assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize("text", ['{"smiles":"\\ud800"}', '{"molblock":"\\ud800\\nM  END"}', '{"smiles":"C\\u0000"}'])
def test_text_that_is_not_unicode_fails_alone(client, text):
    body = '{"num_conformers":1,"molecules":[{"smiles":"C1"},' + text + "]}"
    response = client.post(URL, content=body, headers=JSON)
    assert response.status_code == 200, response.text
    assert [result["status"] for result in response.json()["results"]] == ["failed", "failed"]


def test_body_that_is_missing_is_a_problem(client):
    check_problem(client.post(URL, headers=JSON), 422)


@pytest.mark.parametrize(
    "body", [{"molecules": [1] * 200_000}, {"molecules": [{"smiles": "C"}], **{f"{k:x}": 1 for k in range(80_000)}}]
)
def test_body_with_countless_faults_is_answered_quickly(client, body):
    text = json.dumps(body)
    began = time.process_time()
    response = client.post(URL, content=text, headers=JSON)
    seconds = time.process_time() - began
    check_problem(response, 422)
    assert seconds < 1  # each fault that is kept costs kilobytes and holds up everyone else


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml", ""])
def test_other_content_type_is_a_problem(client, kind):
    response = client.post(URL, content=json.dumps(GOOD), headers={"Content-Type": kind})
    problem = check_problem(response, 415)
    assert "application/json" in problem["detail"]


def test_json_by_another_name_is_read(client, perfect):
    kind = {"Content-Type": "application/vnd.lab+json; charset=utf-8"}
    assert client.post(URL, content=json.dumps(GOOD), headers=kind).status_code == 200


@pytest.mark.parametrize("path", ["/nowhere", "/v1", "/v1/conformers/7", "/v1/%00", "/v1/" + "x" * 5000])
def test_unknown_address_is_a_problem(client, path):
    problem = check_problem(client.get(path), 404)
    assert "/docs" in problem["detail"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"), [("GET", URL, "POST"), ("PUT", URL, "POST"), ("POST", "/healthz", "GET")]
)
def test_wrong_method_is_a_problem(client, method, path, allowed):
    response = client.request(method, path)
    problem = check_problem(response, 405)
    assert response.headers["allow"] == allowed
    assert allowed in problem["detail"]


@pytest.mark.parametrize(
    ("error", "status"),
    [(EngineError("overloaded", "64 requests are waiting", 7), 503), (FormatError("it does not fit"), 422)],
)
def test_refusal_inside_is_a_problem(client, monkeypatch, error, status):
    def refuse(before=0):
        raise error

    monkeypatch.setattr(client.app.state.engine, "check_open", refuse)
    response = client.post(URL, json=GOOD)
    problem = check_problem(response, status)
    assert problem["type"].endswith(error.reason)
    assert problem["detail"] == str(error)
    assert response.headers.get("retry-after") == ("7" if status == 503 else None)


ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=8)
NUMBERS = st.integers() | st.floats() | st.just(10**400)
ANYTHING = st.recursive(
    st.none() | st.booleans() | NUMBERS | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=6,
)
MOLECULES = st.fixed_dictionaries(
    {}, optional={"id": ANYTHING, "smiles": ANY_TEXT | ANYTHING, "molblock": ANY_TEXT | ANYTHING, "more": ANYTHING}
)
BODIES = ANYTHING | st.fixed_dictionaries(
    {"molecules": st.lists(MOLECULES, max_size=3) | ANYTHING},
    optional={
        "num_conformers": st.integers(-1, 3) | ANYTHING,
        "seed": st.integers() | ANYTHING,
        "sampler": st.fixed_dictionaries({}, optional={"kind": ANYTHING, "steps": st.integers(0, 5) | ANYTHING}),
        "format": st.sampled_from(["sdf", "json"]) | ANYTHING,
        "stereo": ANYTHING,
        "model": ANYTHING,
    },
)
THOROUGH = settings(
    max_examples=50, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip


@THOROUGH
@given(BODIES)
def test_any_json_is_answered_without_a_fault_of_the_service(client, perfect, body):
    response = client.post(URL, content=json.dumps(body), headers=JSON)
    assert response.status_code in (200, 422), response.text
    if response.status_code == 422:
        check_problem(response, 422)


@THOROUGH
@given(st.binary(max_size=40))
def test_any_bytes_are_answered_without_a_fault_of_the_service(client, perfect, body):
    check_problem(client.post(URL, content=body, headers=JSON), 422)


def test_huge_list_of_wrong_entries_costs_little(client):
    problem = check_problem(client.post(URL, json={"molecules": [1] * 200_000}), 422)
    assert problem["errors"][0]["field"] == "molecules"
    assert len(problem["errors"]) == 1
    problem = check_problem(client.post(URL, json=GOOD | {f"x{k}": 1 for k in range(50_000)}), 422)
    assert "too many" in problem["detail"]
