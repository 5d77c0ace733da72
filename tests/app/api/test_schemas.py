import pytest
from pydantic import ValidationError

from app.api.schemas import ConformersRequest, ConformersResponse, MoleculeSpec, SamplerSpec
from models.options import DEFAULT_START, START_TIME, STEPS

GOOD = {"molecules": [{"smiles": "C"}]}


def test_request_has_defaults_for_all_but_the_molecules():
    body = ConformersRequest.model_validate(GOOD)
    assert (body.num_conformers, body.seed, body.format, body.stereo, body.max_stereoisomers) == (
        10, None, "sdf", "sample", 8,
    )  # fmt: skip
    assert body.sampler.model_dump() == {
        "kind": "ode", "steps": None, "schedule": "uniform", "start_time": None, "tries": 1,
    }  # fmt: skip
    assert body.start == DEFAULT_START
    assert body.model is None


@pytest.mark.parametrize(
    "change",
    [
        {"molecules": []}, {"molecules": "C"}, {"molecules": ["C"]}, {"molecules": None}, {"num_conformers": 0},
        {"num_conformers": "10"}, {"num_conformers": True}, {"num_conformers": 1.5}, {"num_conformers": None},
        {"num_conformers": float("nan")}, {"num_conformers": float("inf")}, {"seed": -1}, {"seed": 2**53},
        {"seed": "7"}, {"sampler": "ode"}, {"sampler": {"kind": "magic"}}, {"sampler": {"steps": 0}},
        {"sampler": {"steps": 1001}}, {"sampler": {"schedule": "odd"}}, {"start": "odd"}, {"start": None},
        {"sampler": {"start_time": 0}}, {"sampler": {"start_time": 1}}, {"sampler": {"start_time": -0.5}},
        {"sampler": {"start_time": "0.5"}}, {"sampler": {"start_time": float("nan")}}, {"sampler": {"tries": 0}},
        {"sampler": {"tries": 33}}, {"sampler": {"speed": 1}}, {"format": "mol2"},
        {"format": None}, {"stereo": "all"}, {"max_stereoisomers": 0}, {"max_stereoisomers": 65}, {"model": 1},
        {"extra": 1}, {"finish": None}, {"finish": {"relax": "uff"}}, {"finish": {"prune_rmsd": float("nan")}},
        {"finish": {"prune_rmsd": float("inf")}}, {"finish": {"rank": True}}, {"finish": {"energy_window": 1.0}},
    ],
    ids=str,
)  # fmt: skip
def test_request_refuses(change):
    with pytest.raises(ValidationError):
        ConformersRequest.model_validate(GOOD | change)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 2**53 - 1},
        {"seed": 0},
        {"seed": None},
        {"sampler": {"steps": 1000}},
        {"sampler": {}},
        {"start": "etkdg", "sampler": {"start_time": 0.999, "steps": None}},
        {"start": "mmff94s", "sampler": {"start_time": None, "tries": 32}},
        {"finish": {}},
        {"finish": {"relax": "mmff94s", "rank": True, "energy_window": 6}},
        {"finish": {"prune_rmsd": 10}},
    ],
    ids=str,
)
def test_request_accepts(change):
    ConformersRequest.model_validate(GOOD | change)


@pytest.mark.parametrize(
    "spec",
    [
        {}, {"smiles": None}, {"smiles": "C", "molblock": "x"}, {"smiles": 1}, {"smiles": "C", "id": ""},
        {"smiles": "C", "id": "a" * 81}, {"smiles": "C", "id": "a\nb"}, {"smiles": "C", "id": "a\x00"},
        {"smiles": "C", "id": 1}, {"smiles": "C", "name": "a"},
    ],
    ids=str,
)  # fmt: skip
def test_molecule_refuses(spec):
    with pytest.raises(ValidationError):
        MoleculeSpec.model_validate(spec)


@pytest.mark.parametrize("name", ["a", "a" * 80, "Näme, with blanks / and more", "分子"])
def test_molecule_accepts_the_name(name):
    assert MoleculeSpec.model_validate({"smiles": "C", "id": name}).id == name


def test_schema_names_the_defaults_of_each_start():
    fields = SamplerSpec.model_json_schema()["properties"]
    for start in ("noise", "etkdg", "mmff94s"):
        assert f"{STEPS[start]} from {start}" in fields["steps"]["description"]
        assert (f"{START_TIME[start]} from {start}" in fields["start_time"]["description"]) == (start != "noise")


def test_every_field_of_the_request_is_described():
    schema = ConformersRequest.model_json_schema()
    for part in (schema, *schema["$defs"].values()):
        for name, field in part["properties"].items():
            assert "description" in field or name in ("molecules", "sampler", "finish"), name


def test_response_refuses_an_unknown_status():
    result = {
        "id": "a", "status": "odd", "smiles": None, "num_requested": 1, "num_returned": 0, "notes": [], "problems": [],
        "conformers": [], "structure": None,
    }  # fmt: skip
    timing = dict.fromkeys(("read", "wait", "sample", "finish", "write", "total"), 0.0)
    with pytest.raises(ValidationError, match="status"):
        ConformersResponse.model_validate({"model": "m", "seed": 1, "results": [result], "timing_s": timing})
