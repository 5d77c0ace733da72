import io
import json
import os
import threading
import time
import zipfile
from base64 import b64decode

import gemmi
import numpy as np
import pytest
from biotite.structure.io.pdb import PDBFile
from biotite.structure.io.pdbx import BinaryCIFFile, CIFFile, get_structure

from app.api.backbone_schemas import BackbonesRequest, BackbonesResponse
from app.api.examples import BACKBONE_EXAMPLES
from app.engine.lane import Lane
from app.intake.templating import Templating
from models.data.blueprints import build_blueprint
from models.data.motif import read_template
from models.export.backbone_formats import BACKBONE_FORMATS
from models.options import build_chain_options
from models.pipeline import generate

MEDIA = {name: file_format.media_type for name, file_format in BACKBONE_FORMATS.items()}


def answer_of(response):
    """The answer, after what must hold for every one of them."""
    assert response.status_code == 200, response.text
    answer = BackbonesResponse.model_validate_json(response.text, strict=True)
    for result in answer.results:
        assert result.num_returned == len(result.samples)
        whole = result.num_returned == result.num_requested
        assert result.status == ("ok" if whole else "partial" if result.samples else "failed")
        assert (result.reason is None) == whole
    assert answer.model == "backbones-small"
    return answer


def problem_of(response, status=422):
    assert response.status_code == status, response.text
    return response.json()


def shapes(result):
    """Coordinates of a result in json, centred.  [S, L, 4, 3]"""
    x = np.array([sample.structure for sample in result.samples])
    return x - x.mean((1, 2), keepdims=True)


def read(content, name):
    """Structure of a file by biotite: all models."""
    if name == "pdb":
        return PDBFile.read(io.StringIO(content.decode())).get_structure()
    if name == "mmcif":
        return get_structure(CIFFile.read(io.StringIO(content.decode())))
    return get_structure(BinaryCIFFile.read(io.BytesIO(content)))


@pytest.mark.parametrize("name", ["pdb", "mmcif", "bcif"])
def test_structures_come_in_every_format(ask_backbones, natural, name):
    answer = answer_of(ask_backbones(20, 33, format=name, residue="GLY", keep_failed=False))
    assert (answer.format, answer.residue) == (name, "GLY")
    for result, length in zip(answer.results, (20, 33), strict=True):
        assert (result.length, result.status) == (length, "ok")
        for sample in result.samples:
            content = b64decode(sample.structure) if name == "bcif" else sample.structure.encode()
            atoms = read(content, name)
            assert atoms.coord.shape == (1, 4 * length, 3)
            assert set(atoms.res_name) == {"GLY"}
            assert list(atoms.atom_name[:4]) == ["N", "CA", "C", "O"]


def test_coordinates_come_as_arrays(ask_backbones):
    (result,) = answer_of(ask_backbones(14, format="json")).results
    assert np.array(result.samples[0].structure).shape == (14, 4, 3)


@pytest.mark.parametrize("name", MEDIA)
def test_file_holds_every_sample(ask_backbones, natural, name):
    response = ask_backbones(20, accept=MEDIA[name], keep_failed=False)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].split(";")[0] == MEDIA[name]
    assert read(response.content, name).stack_depth() == 2
    assert response.headers["x-shapespace-returned"] == response.headers["x-shapespace-requested"] == "2"
    assert response.headers["x-shapespace-incomplete"] == "0"
    assert f"backbones.{BACKBONE_FORMATS[name].extension}" in response.headers["content-disposition"]


def test_lengths_that_differ_are_not_for_one_pdb_file(ask_backbones):
    problem = problem_of(ask_backbones(20, 33, accept=MEDIA["pdb"]))
    assert problem["type"].endswith("invalid_format")
    assert "same atoms, not 20, 33 residues; ask for a zip, or mmcif" in problem["detail"]


def test_answer_says_what_was_asked(ask_backbones):
    wish = {"helix": 0.5, "strand": None, "fold": "a", "secondary": None}
    answer = answer_of(ask_backbones(12, condition={"helix": 0.5, "fold": "a"}, keep_failed=True, idealise=False))
    assert answer.condition.model_dump() == wish
    assert (answer.keep_failed, answer.idealise) == (True, False)


def test_pdb_file_is_read_by_another_reader(ask_backbones, natural):
    structure = gemmi.read_pdb_string(ask_backbones(20, accept=MEDIA["pdb"], keep_failed=False).text)
    assert len(structure) == 2
    assert len(structure[0]["A"]) == 20


def test_zip_holds_a_file_for_each_sample_a_table_and_a_manifest(ask_backbones, natural):
    response = ask_backbones(20, 33, accept="application/zip", ids=["small", "large"], format="mmcif")
    archive = zipfile.ZipFile(io.BytesIO(response.content))
    names = archive.namelist()
    assert {"quality.csv", "manifest.json"} < set(names)
    assert len([name for name in names if name.endswith(".cif")]) == 4
    manifest = json.loads(archive.read("manifest.json"))
    assert (manifest["seed"], [length["id"] for length in manifest["lengths"]]) == (1, ["small", "large"])


def test_zip_of_arrays_is_refused(ask_backbones):
    problem = problem_of(ask_backbones(20, accept="application/zip", format="json"))
    assert problem["errors"][0]["field"] == "format"


def test_type_that_cannot_be_made_is_refused(ask_backbones):
    problem = problem_of(ask_backbones(20, accept="chemical/x-mdl-sdfile"), 406)
    assert all(media_type in problem["detail"] for media_type in MEDIA.values())


def test_quality_is_told_of_every_sample(ask_backbones, natural):
    (result,) = answer_of(ask_backbones(33, keep_failed=False)).results
    assert all(sample.quality.passed and sample.quality.fault is None for sample in result.samples)
    assert all(sample.quality.ca_step_share > 0.9 and sample.motif_rmsd_ang is None for sample in result.samples)


def test_structures_are_those_of_the_library(ask_backbones, chain_client):
    (result,) = answer_of(ask_backbones(20, format="json", num_samples=3, seed=5)).results
    model = chain_client.app.state.engine.served["backbones"].model
    blueprint = build_blueprint("x", 20, keep_failed=True)
    (expected,) = generate(model, [blueprint], [3], [5], build_chain_options(steps=4))
    assert [sample.seed for sample in result.samples] == [sample.seed for sample in expected.samples]
    x = np.stack([sample.coordinates for sample in expected.samples])
    np.testing.assert_allclose(shapes(result), x - x.mean((1, 2), keepdims=True), atol=5e-3)


def test_sample_can_be_made_again_by_its_own_seed(ask_backbones):
    (many,) = answer_of(ask_backbones(16, format="json", num_samples=3, seed=40)).results
    (alone,) = answer_of(ask_backbones(16, format="json", num_samples=1, seed=42)).results
    assert many.samples[2].seed == alone.samples[0].seed == 42
    np.testing.assert_allclose(shapes(many)[2:], shapes(alone), atol=5e-3)


def test_length_that_is_there_again_goes_on_with_the_seeds(ask_backbones):
    answer = answer_of(ask_backbones(16, 20, 16, format="json", num_samples=2, seed=40))
    assert [[sample.seed for sample in result.samples] for result in answer.results] == [[40, 41], [40, 41], [42, 43]]
    assert [result.id for result in answer.results] == ["16-1", "20-2", "16-3"]


def test_drawn_seed_is_returned(ask_backbones):
    answer = answer_of(ask_backbones(12, num_samples=1, seed=None))
    assert answer.results[0].samples[0].seed == answer.seed


def test_answer_says_how_it_was_sampled(ask_backbones):
    body = {"kind": "sde", "steps": 3, "noise_scale": 0.45, "churn": 0.3, "guidance": 2.0}
    sampling = answer_of(ask_backbones(12, num_samples=1, sampler=body, condition={"helix": 0.5})).sampling
    assert sampling.model_dump() == {"start": "noise", "start_time": None, "schedule": "log", **body}


@pytest.mark.parametrize("kind", ["ode", "heun"])
def test_other_samplers_are_served(ask_backbones, kind):
    answer = answer_of(ask_backbones(12, sampler={"kind": kind, "steps": 2}))
    assert answer.results[0].num_returned == 2
    assert answer.sampling.churn is answer.sampling.noise_scale is None
    problem = problem_of(ask_backbones(12, sampler={"kind": kind, "steps": 2, "churn": 1}))
    assert f"churn is 1, but sampler '{kind}' has no noise" in problem["detail"]


def test_samples_that_fail_are_reported_with_a_reason(ask_backbones, monkeypatch):
    def collapse(lane):
        rows = lane.rows
        lane.__init__(None, lane.kind)
        return [(row, np.zeros((4 * row.book.subject.length, 3), np.float32)) for row in rows]

    monkeypatch.setattr(Lane, "step", collapse)
    answer = answer_of(ask_backbones(12, keep_failed=False, idealise=False))
    (result,) = answer.results
    assert (result.status, result.samples) == ("failed", [])
    assert result.reason
    assert "2 of 2 samples are missing" in result.detail
    for accept in (MEDIA["pdb"], "application/zip"):
        problem = problem_of(ask_backbones(12, keep_failed=False, idealise=False, accept=accept))
        assert problem["results"][0]["reason"] == result.reason


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"lengths": [20, 41]}, "lengths[1]", "12 to 40"),
        ({"lengths": [11]}, "lengths[0]", "12 to 40"),
        ({"lengths": []}, "lengths", "at least 1"),
        ({"lengths": [20.5]}, "lengths[0]", "whole number"),
        ({"lengths": [12] * 5}, "lengths", "1 to 4"),
        ({"num_samples": 7}, "num_samples", "1 to 6"),
        ({"lengths": [40], "num_samples": 6, "sampler": {"steps": 200}}, "num_samples", "at most 400"),
        ({"ids": ["a", "b"]}, "ids", "one for each"),
        ({"lengths": [20, 20], "ids": ["a", "a"]}, "ids", "ids that differ"),
        ({"condition": {"helix": 1.2}}, "condition.helix", "at most 1"),
        ({"condition": {"fold": "z"}}, "condition.fold", "abcdefg"),
        ({"condition": {"secondary": "HHX"}}, "condition.secondary", "HEC"),
        ({"condition": {"secondary": "HHH"}}, "condition.secondary", "20 letters"),
        ({"condition": {"sheet": 1}}, "condition.sheet", "helix, strand"),
        ({"sampler": {"kind": "euler"}}, "sampler.kind", "'sde'"),
        ({"sampler": {"noise_scale": 3}}, "sampler.noise_scale", "at most 2"),
        ({"sampler": {"tries": 3}}, "sampler.tries", "noise_scale"),
        ({"sampler": {"guidance": 2}}, "sampler.guidance", "a wish in condition"),
        (
            {"sampler": {"guidance": 2}, "condition": {"secondary": "-" * 20}},
            "sampler.guidance",
            "a wish in condition",
        ),
        ({"sampler": {"guidance": 11}, "condition": {"helix": 1}}, "sampler.guidance", "at most 10"),
        ({"residue": "TRP"}, "residue", "'GLY'"),
        ({"format": "sdf"}, "format", "'bcif'"),
        ({"model": "other"}, "model", "backbones-small"),
        ({"molecules": []}, "molecules", "lengths, start"),
        ({"lengths": None}, "body", "give lengths"),
        ({"fixed": ["A1-5"]}, "body", "give it as start.structure"),
        ({"start": {"structure": "x"}}, "body", "start has no use"),
        ({"start": {"structure": "x", "t": 1}}, "start.t", "less than 1"),
    ],
)
def test_what_cannot_be_is_refused_with_field_and_what_is_allowed(ask_backbones, fields, field, words):
    (error,) = problem_of(ask_backbones(**{"lengths": [20], **fields}))["errors"]
    assert error["field"] == field
    assert words in error["allowed"]


def test_wishes_that_contradict_each_other_are_refused(ask_backbones):
    problem = problem_of(ask_backbones(20, condition={"helix": 0.7, "strand": 0.6}))
    assert problem["type"].endswith("invalid_backbone")
    assert "more than 1 together" in problem["detail"]


def test_wishes_reach_the_network(ask_backbones):
    plain, asked = (
        shapes(answer_of(ask_backbones(16, format="json", condition=condition)).results[0])
        for condition in ({}, {"helix": 1.0, "fold": "a", "secondary": "H" * 16})
    )
    assert np.abs(plain - asked).max() > 1e-3


def test_guidance_moves_samples_away_from_those_without_wishes(ask_backbones):
    def ask(guidance):
        sampler = {"steps": 3, "guidance": guidance}
        return shapes(answer_of(ask_backbones(16, format="json", condition=wish, sampler=sampler)).results[0])

    wish = {"helix": 1.0, "fold": "a", "secondary": "H" * 16}
    ignored, told, strong = ask(0), ask(1), ask(3)
    plain = answer_of(ask_backbones(16, format="json", sampler={"steps": 3})).results[0]
    np.testing.assert_allclose(ignored, shapes(plain), atol=2e-3)
    away = [np.abs(x - ignored).mean() for x in (told, strong)]
    assert away[1] > 1.5 * away[0] > 0
    np.testing.assert_allclose(ask(3), strong, atol=2e-3)


def test_service_without_a_model_of_backbones_says_so(client):
    problem = problem_of(client.post("/v1/backbones", json={"lengths": [64]}), 404)
    assert problem["type"].endswith("not_served")
    assert "SHAPESPACE_BACKBONE_MODEL" in problem["detail"]


def test_both_models_are_listed_as_served(chain_client):
    listed = chain_client.get("/v1/models").json()["models"]
    assert {card["name"]: card["served"] for card in listed} == {"molecules-small": True, "backbones-small": True}
    assert [card["training"]["lengths"] for card in listed if "lengths" in card["training"]] == [[12, 40]]


def test_backbones_are_counted(ask_backbones, chain_client):
    before = chain_client.get("/v1/stats").json()["since_start"]["backbones"].get("all", 0)
    ask_backbones(12, 20)
    assert chain_client.get("/v1/stats").json()["since_start"]["backbones"]["all"] == before + 4


def test_caller_who_leaves_frees_the_device(chain_client, ask_backbones, patient, monkeypatch):
    """Work of someone who has gone is cancelled after the step that is under way."""
    engine, tickets, steps = chain_client.app.state.engine, [], []
    submit, step = engine.submit, Lane.step
    monkeypatch.setattr(engine, "submit", lambda ticket: (tickets.append(ticket), submit(ticket)))
    monkeypatch.setattr(Lane, "step", lambda lane: (steps.append(lane), time.sleep(0.02), step(lane))[-1])
    monkeypatch.setattr("starlette.requests.Request.is_disconnected", _gone)
    response = ask_backbones(12, num_samples=1, sampler={"steps": 1000})
    assert response.status_code == 499
    assert tickets[0].over()
    patient(lambda: not engine.stats().running_rows)
    assert len(steps) < 1000


async def _gone(request):
    return True


def test_work_that_takes_too_long_is_reported_as_stopped(connect, chain_settings, patient, monkeypatch):
    settings = chain_settings.model_copy(update={"request_timeout_s": 0.5})
    from app.main import create_app

    with connect(create_app(settings)) as client:
        patient(lambda: client.app.state.engine.state != "loading")
        monkeypatch.setattr(Lane, "step", lambda lane: time.sleep(0.02) or [])
        monkeypatch.setattr(client.app.state.engine, "estimate_s", lambda *work: 0.0)  # or it would become a job
        body = {"lengths": [20], "num_samples": 2, "sampler": {"steps": 4}}
        (result,) = answer_of(client.post("/v1/backbones", json=body)).results
        assert (result.status, result.reason) == ("failed", "stopped")
        response = client.post("/v1/backbones", json=body, headers={"Accept": MEDIA["pdb"]})
        assert problem_of(response, 503)["type"].endswith("unavailable")


def test_requests_at_the_same_time_get_their_own_answers(ask_backbones):
    answers = {}

    def ask(seed):
        answers[seed] = answer_of(ask_backbones(16, seed=seed, num_samples=1, format="json"))

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {seed: answer.results[0].samples[0].seed for seed, answer in answers.items()} == {s: s for s in range(4)}


@pytest.mark.parametrize("name", BACKBONE_EXAMPLES)
def test_example_is_a_request(name, client):
    example = BACKBONE_EXAMPLES[name]
    assert example["summary"]
    BackbonesRequest.model_validate(example["value"])
    operation = client.get("/openapi.json").json()["paths"]["/v1/backbones"]["post"]
    assert operation["requestBody"]["content"]["application/json"]["examples"] == BACKBONE_EXAMPLES


def test_motif_keeps_its_shape(ask_backbones, chain_text):
    start = {"structure": chain_text, "chain": "A"}
    answer = answer_of(ask_backbones(start=start, fixed=["A10-20", "A30"], format="json"))
    assert answer.template.model_dump() == {
        "chain": "A",
        "first": "5",
        "last": "34",
        "residues": 30,
        "fixed": 12,
        "places": ["6-16", "26"],
    }
    (result,) = answer.results
    assert (result.length, result.num_returned) == (30, 2)
    assert all(sample.motif_rmsd_ang < 1e-3 for sample in result.samples)
    given = read_template(chain_text).coordinates
    for sample in result.samples:  # the samples are where the structure was, and not only of its shape
        np.testing.assert_allclose(np.array(sample.structure)[5:16], given[5:16], atol=2e-3)
    steps = np.linalg.norm(np.diff(shapes(result)[:, 5:16, 1], axis=1), axis=-1)
    np.testing.assert_allclose(steps, 3.8, atol=0.15)


def test_churn_is_lower_where_residues_are_fixed(ask_backbones, chain_text):
    start, sampler = {"structure": chain_text, "t": 0.1}, {"steps": 150}
    churns = [
        answer_of(ask_backbones(num_samples=1, start=start, sampler=sampler, **more)).sampling.churn
        for more in ({}, {"fixed": ["A10-20"]})
    ]
    assert churns == [15.0, 10.0]


def test_motif_can_be_put_into_chains_of_other_lengths(ask_backbones, chain_text):
    start, fixed = {"structure": chain_text}, ["A20-26", "A8-12"]
    answer = answer_of(ask_backbones(30, 36, start=start, fixed=fixed, at=[5, 21], format="json"))
    assert answer.template.model_dump() == {
        "chain": "A", "first": "20", "last": "12", "residues": 12, "fixed": 12, "places": ["5-11", "21-25"]
    }  # fmt: skip
    given = read_template(chain_text).coordinates
    for result, length in zip(answer.results, (30, 36), strict=True):
        assert (result.length, result.num_returned) == (length, 2)
        for sample in result.samples:
            x = np.array(sample.structure)
            np.testing.assert_allclose(x[4:11], given[15:22], atol=2e-3)
            np.testing.assert_allclose(x[20:25], given[3:8], atol=2e-3)


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"at": [5, 9]}, "body", "2 for 1"),
        ({"fixed": None}, "body", "1 for 0"),
        ({"lengths": None}, "body", "give lengths"),
        ({"t": 0.5}, "body", "leave start.t and start.chain out"),
        ({"chain": "A"}, "body", "leave start.t and start.chain out"),
        ({"at": [0]}, "at[0]", "at least 1"),
        ({"at": [11]}, "lengths[0]", "21 or more, or other places in at"),
    ],
)
def test_place_that_cannot_be_is_refused(ask_backbones, chain_text, fields, field, words):
    start = {"structure": chain_text} | {name: fields.pop(name) for name in ("t", "chain") if name in fields}
    body = {"lengths": [20], "start": start, "fixed": ["A10-20"], "at": [5]} | fields
    (error,) = problem_of(ask_backbones(**body))["errors"]
    assert error["field"] == field
    assert words in error["allowed"] + error["message"]


def test_motif_that_leaves_nothing_of_the_shortest_chain_is_refused(ask_backbones, chain_text):
    body = {"start": {"structure": chain_text}, "fixed": ["A5-24"], "at": [1]}
    problem = problem_of(ask_backbones(30, 20, **body))
    assert "20 of 20 residues are fixed" in problem["detail"]


def test_places_that_overlap_are_refused(ask_backbones, chain_text):
    body = {"start": {"structure": chain_text}, "fixed": ["A10-12", "A20-22"], "at": [5, 6]}
    problem = problem_of(ask_backbones(20, **body))
    assert problem["type"].endswith("invalid_range")
    assert "one residue must stay free before it, so 9 or later" in problem["detail"]


def test_partial_diffusion_stays_the_closer_the_later_it_begins(ask_backbones, chain_client, chain_text):
    import torch

    from models.geometry.alignment import rmsd

    target = torch.from_numpy(read_template(chain_text).coordinates).flatten(0, 1)[None]
    mask = torch.ones(1, target.shape[1], dtype=torch.bool)
    away = []
    for t in (0.2, 0.98):
        answer = answer_of(ask_backbones(30, start={"structure": chain_text, "t": t}, format="json", num_samples=1))
        assert (answer.sampling.start, answer.sampling.start_time) == ("structure", t)
        x = torch.from_numpy(shapes(answer.results[0])).float().flatten(1, 2)
        away.append(float(rmsd(x, target, mask)))
    assert away[1] < away[0]


@pytest.mark.parametrize(
    ("fields", "reason", "words"),
    [
        ({"fixed": ["B10-20"]}, "invalid_range", "write A10-20"),
        ({"fixed": ["A10-99"]}, "invalid_range", "5 to 34 (30 residues)"),
        ({"fixed": ["A20-10"]}, "invalid_range", "lower end first"),
        ({"fixed": ["A10"]}, "invalid_backbone", "1 of 30 residues are fixed; allowed: 3 or more"),
        ({"chain": "Q", "t": 0.5}, "invalid_chain", "it has A"),
        ({"lengths": [31], "t": 0.5}, "invalid_request", "30, or no lengths"),
        ({"structure": "hello", "t": 0.5}, "no_protein", "named N, CA, C or O; allowed are PDB and mmCIF files"),
        ({"structure": "ATOM\x00" * 9, "t": 0.5}, "no_protein", "no ATOM record"),
        ({"structure": "data_x\nloop_\n_atom_site.id\n1\n", "t": 0.5}, "invalid_structure", "no column"),
    ],
)
def test_structure_that_cannot_be_used_is_refused_in_words(ask_backbones, chain_text, fields, reason, words):
    own = {name: fields[name] for name in ("structure", "chain", "t") if name in fields}
    rest = {name: value for name, value in fields.items() if name not in own}
    problem = problem_of(ask_backbones(start={"structure": chain_text, **own}, **rest))
    assert problem["type"].endswith(reason)
    assert words in problem["detail"]


def test_length_of_a_broken_structure_is_explained(ask_backbones, chain_text):
    kept = [line for line in chain_text.splitlines() if int(line[22:26]) not in (12, 28)]
    (error,) = problem_of(ask_backbones(start={"structure": "\n".join(kept), "t": 0.5}, lengths=[30]))["errors"]
    assert "the longest unbroken stretch of chain A is 13 to 27, 15 residues" in error["message"]
    kept = [line for line in chain_text.splitlines() if int(line[22:26]) < 15]
    (error,) = problem_of(ask_backbones(start={"structure": "\n".join(kept), "t": 0.5}))["errors"]
    assert error["field"] == "start.structure"
    assert "chain A is 5 to 14, 10 residues; the model was not trained" in error["message"]


def test_samples_around_a_distant_structure_need_another_format_than_pdb(ask_backbones, chain_text):
    moved = "".join(f"{line[:30]}{float(line[30:38]) + 900:8.3f}{line[38:]}\n" for line in chain_text.splitlines())
    start, fixed = {"structure": moved}, ["A10-20"]
    problem = problem_of(ask_backbones(start=start, fixed=fixed))
    assert (
        "Å from the origin, and samples are laid onto it; PDB has room up to 999 Å: ask for mmcif" in problem["detail"]
    )
    there, here = (
        [np.array(sample.structure) for sample in answer_of(answer).results[0].samples]
        for answer in (
            ask_backbones(start=start, fixed=fixed, format="json"),
            ask_backbones(start={"structure": chain_text}, fixed=fixed, format="json"),
        )
    )
    np.testing.assert_allclose(np.array(there) - [900, 0, 0], here, atol=5e-3)


def test_structure_whose_reading_is_lost_is_refused(ask_backbones, monkeypatch, chain_text):
    monkeypatch.setattr("app.api.backbones.Templating", Fatal)
    problem = problem_of(ask_backbones(start={"structure": chain_text, "t": 0.5}))
    assert problem["type"].endswith("invalid_structure")
    assert "ended its process" in problem["detail"]


class Fatal(Templating):
    """Ends the child that reads it."""

    def __reduce__(self):
        return os._exit, (1,)
