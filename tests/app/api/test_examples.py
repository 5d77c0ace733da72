import pytest

from app.api.examples import REQUEST_EXAMPLES
from app.api.schemas import ConformersRequest, ConformersResponse


@pytest.mark.parametrize("name", REQUEST_EXAMPLES)
def test_example_is_answered(name, client):
    response = client.post("/v1/conformers", json=REQUEST_EXAMPLES[name]["value"])
    assert response.status_code == 200, response.text
    answer = ConformersResponse.model_validate(response.json())
    assert {result.id for result in answer.results} <= {"alanine", "molecule-1", "molecule-2", "a"}


def test_examples_say_what_they_show():
    for example in REQUEST_EXAMPLES.values():
        assert example["summary"]
        ConformersRequest.model_validate(example["value"])


def test_examples_are_in_the_openapi_document(client):
    operation = client.get("/openapi.json").json()["paths"]["/v1/conformers"]["post"]
    assert operation["requestBody"]["content"]["application/json"]["examples"] == REQUEST_EXAMPLES
