import json

from app.api.backbone_schemas import BackboneSampler, BackbonesRequest, StartSpec
from app.api.schemas import ConformersRequest, FinishSpec, MoleculeSpec, SamplerSpec
from app.intake.limits import limits
from app.settings import Settings
from models.data.elements import ELEMENTS
from models.export.formats import FORMATS


def test_limits_follow_the_settings():
    given = Settings(max_molecules=3, max_conformers=4, max_total_conformers=5, max_body_mb=0.5, request_timeout_s=6)
    table = limits(given)
    assert table["molecules_per_request"] == 3
    assert table["conformers_per_molecule"] == 4
    assert table["conformers_per_request"] == 5
    assert table["body_bytes"] == 500_000
    assert table["request_timeout_s"] == 6
    assert table["parse_timeout_s"] == given.parse_timeout_s


def test_limits_are_plain_json():
    table = limits(Settings())
    assert json.loads(json.dumps(table, allow_nan=False)) == table


def test_limits_are_those_of_the_contract():
    table, schema = limits(Settings()), ConformersRequest.model_json_schema()
    sampler, molecule = SamplerSpec.model_json_schema()["properties"], MoleculeSpec.model_json_schema()["properties"]
    fields = schema["properties"]
    assert table["sampler_kinds"] == sampler["kind"]["enum"]
    assert table["sampler_schedules"] == sampler["schedule"]["enum"]
    assert table["starts"] == fields["start"]["enum"]
    steps = sampler["steps"]["anyOf"][0]
    assert table["sampler_steps"] == [steps["minimum"], steps["maximum"]]
    assert table["sampler_tries"] == [sampler["tries"]["minimum"], sampler["tries"]["maximum"]]
    finish = FinishSpec.model_json_schema()["properties"]
    for name, unit in (("prune_rmsd", "ang"), ("energy_window", "kcal_mol")):
        number = finish[name]["anyOf"][0]
        assert table[f"finish_{name}_{unit}"] == [number["exclusiveMinimum"], number["maximum"]]
    assert (
        table["finish_methods"] == [finish["relax"]["anyOf"][0]["const"]] == [finish["energies"]["anyOf"][0]["const"]]
    )
    assert table["formats"] == fields["format"]["enum"]
    assert table["seed"] == [fields["seed"]["anyOf"][0]["minimum"], fields["seed"]["anyOf"][0]["maximum"]]
    assert table["stereoisomers_per_molecule"] == fields["max_stereoisomers"]["maximum"]
    assert table["id_characters"] == molecule["id"]["anyOf"][0]["maxLength"]


def test_limits_of_backbones_are_those_of_the_contract():
    table, fields = limits(Settings())["backbones"], BackbonesRequest.model_json_schema()["properties"]
    sampler = BackboneSampler.model_json_schema()["properties"]
    for name in ("fixed", "at"):
        assert table["fixed"] == fields[name]["anyOf"][0]["maxItems"]
    assert table["structure_bytes"] == StartSpec.model_json_schema()["properties"]["structure"]["maxLength"]
    for name in ("noise_scale", "churn"):
        number = sampler[name]["anyOf"][0]
        assert table[name] == [number["minimum"], number["maximum"]]
    assert table["guidance"] == [sampler["guidance"]["minimum"], sampler["guidance"]["maximum"]]
    assert table["formats"] == fields["format"]["enum"]


def test_limits_name_every_element_and_media_type():
    table = limits(Settings())
    assert table["elements"] == list(ELEMENTS)
    assert {f.media_type for f in FORMATS.values()} < set(table["media_types"])
    assert table["atoms_with_hydrogens"] == 256
