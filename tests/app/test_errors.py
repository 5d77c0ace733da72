import json
import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.errors import MEDIA_TYPE, TITLES, Problem, invalid, invalid_fields, problem_of, shown
from models import errors
from models.errors import ModelError

ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=300)  # lone surrogates too
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=8,
)


def nested(depth: int) -> list:
    value: list = []
    for _ in range(depth):
        value = [value]
    return value


@settings(deadline=None)
@given(ANYTHING)
@example(10**5000)
@example(-(2**63))
@example("\ud800" * 200)
def test_shown_value_is_short_and_fits_into_json(value):
    text = json.dumps(shown(value), ensure_ascii=False, allow_nan=False)
    assert len(text.encode()) < 1000
    assert len(str(shown(value))) <= 80


def test_shown_value_that_is_deeply_nested_is_short():
    assert len(shown(nested(50_000))) <= 80


@pytest.mark.parametrize("value", [None, True, 0, -7, 2**53, 1.5, "CCO"])
def test_shown_value_is_itself_when_it_is_simple(value):
    assert shown(value) is value or shown(value) == value
    assert type(shown(value)) is type(value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_shown_value_is_text_where_json_has_no_number(value):
    assert shown(value) == repr(value)


def test_problem_document_has_the_members_of_the_standard():
    problem = Problem(503, "overloaded", "full", {"Retry-After": "3"}, waiting=64)
    response = problem.response("abc")
    assert response.status_code == 503
    assert response.headers["content-type"] == MEDIA_TYPE
    assert response.headers["retry-after"] == "3"
    assert json.loads(response.body) == {
        "type": "urn:shapespace:problem:overloaded",
        "title": TITLES["overloaded"],
        "status": 503,
        "detail": "full",
        "request_id": "abc",
        "waiting": 64,
    }


def test_problem_of_a_new_reason_has_a_title():
    assert Problem(418, "tea_pot", "short and stout").document("a")["title"] == "Tea pot"


@pytest.mark.parametrize("kind", [k for k in vars(errors).values() if isinstance(k, type)])
def test_refusal_of_the_science_becomes_a_problem(kind):
    assert issubclass(kind, ModelError)
    problem = problem_of(kind("a sentence"))
    assert (problem.reason, problem.detail) == (kind.reason, "a sentence")
    assert problem.status == (503 if kind.reason == "weights_unavailable" else 422)


def test_invalid_field_is_named_with_value_and_what_is_allowed():
    document = invalid("num_conformers", 2000, "2000 is too many", "1 to 1000").document("a")
    assert document["status"] == 422
    assert document["errors"] == [
        {"field": "num_conformers", "value": 2000, "message": "2000 is too many", "allowed": "1 to 1000"}
    ]
    assert document["detail"] == "num_conformers: 2000 is too many; allowed: 1 to 1000"


def test_problem_says_how_many_fields_are_invalid():
    errors = [{"field": f"f{k}", "value": k, "message": "no", "allowed": "yes"} for k in range(500)]
    problem = invalid_fields(errors[:20], len(errors))
    assert len(problem.extra["errors"]) == 20
    assert "and 499 more" in problem.detail
