import numpy as np
import pytest

from app.api.backbone_schemas import BackbonesResponse
from app.api.examples import BACKBONE_EXAMPLES, REQUEST_EXAMPLES
from app.api.schemas import ConformersRequest, ConformersResponse
from models.data.motif import read_template
from models.data.report import report_backbones


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


@pytest.mark.parametrize("name", ["start", "fixed"])
def test_example_with_a_structure_is_answered(name, chain_client):
    value = BACKBONE_EXAMPLES[name]["value"]
    quick = {"sampler": {"steps": 4}, "keep_failed": True}
    response = chain_client.post("/v1/backbones", json={**value, **quick})
    assert response.status_code == 200, response.text
    answer = BackbonesResponse.model_validate(response.json())
    assert answer.template.residues == 40 and answer.template.fixed == (15 if name == "fixed" else 0)
    assert [result.num_returned for result in answer.results] == [2]


def test_structure_of_the_examples_is_a_helix():
    template = read_template(BACKBONE_EXAMPLES["start"]["value"]["start"]["structure"])
    (report,) = report_backbones(np.stack([template.coordinates]))
    assert report.helix > 0.85 and report.right_handed == report.ca_step_share == report.favoured == 1
    assert report.bond_error_ang < 0.02 and report.angle_error_deg < 2 and report.breaks == report.clashes == 0
