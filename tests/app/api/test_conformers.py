import io
import json
import os
import re
import threading
import time
import zipfile
from functools import partial

import gemmi
import numpy as np
import pytest
from biotite.structure.io.pdb import PDBFile
from biotite.structure.io.pdbx import CIFFile, get_structure
from rdkit import Chem

from app.api.schemas import ConformersResponse
from app.intake.finishing import Measuring
from models.data.molecule import build_molecules, read_smiles
from models.export.formats import FORMATS
from models.options import START_TIME, STEPS, build_options
from models.pipeline import generate

MODEL = "molecules-small"
ALANINE = "C[C@H](N)C(=O)O"
MEDIA = {name: file_format.media_type for name, file_format in FORMATS.items()}


def answer_of(response):
    """The answer, after what must hold for every one of them."""
    assert response.status_code == 200, response.text
    answer = ConformersResponse.model_validate(response.json(), strict=True)
    for result in answer.results:
        missing = sum(problem.count for problem in result.problems)
        assert result.num_returned + result.num_pruned + missing == result.num_requested
        assert result.num_returned == len(result.conformers)
        expected = "ok" if missing == 0 else "partial" if result.num_returned else "failed"
        assert result.status == expected
        assert all(conformer.stereo_ok for conformer in result.conformers)
        assert (result.structure is None) == (result.num_returned == 0)
        assert all(problem.reason and problem.detail for problem in result.problems)
    assert answer.model == MODEL
    assert all(seconds >= 0 for seconds in answer.timing_s.model_dump().values())
    return answer


def plain(mol):
    return Chem.MolToSmiles(Chem.RemoveHs(mol))


def positions(text):
    """Coordinates of all records of an SDF."""
    number = r" +(-?\d+\.\d{4})"
    return np.array(re.findall(rf"^{number * 3} [A-Z]", text, re.MULTILINE), dtype=float)


# The trained weights: few molecules, few conformers.


def test_request_of_the_documentation_is_served(client, records, files):
    body = {
        "molecules": [
            {"id": "a", "smiles": ALANINE},
            {"id": "b", "molblock": (files / "alanine_wedge.mol").read_text()},
        ],
        "num_conformers": 5,
        "seed": 7,
        "sampler": {"kind": "ode", "steps": 50},
        "format": "sdf",
    }
    answer = answer_of(client.post("/v1/conformers", json=body))
    assert answer.seed == 7
    assert [result.id for result in answer.results] == ["a", "b"]
    assert [result.num_requested for result in answer.results] == [5, 5]
    for result in answer.results:
        assert result.smiles in (Chem.CanonSmiles(ALANINE), Chem.CanonSmiles("C[C@@H](N)C(=O)O"))
        assert result.num_returned > 0
        mols = records(result.structure)
        assert len(mols) == result.num_returned
        assert {plain(mol) for mol in mols} == {result.smiles}
        assert [int(mol.GetProp("conformer")) for mol in mols] == [c.index for c in result.conformers]


def test_ethanol_is_made_in_full(ask, records):
    answer = answer_of(ask("CCO", num_conformers=6, sampler={"steps": 50}))
    (result,) = answer.results
    assert (result.status, result.num_returned, result.problems) == ("ok", 6, [])
    assert [c.index for c in result.conformers] == list(range(6))
    mols = records(result.structure)
    lengths = [np.linalg.norm(m.GetConformer().GetPositions()[0] - m.GetConformer().GetPositions()[1]) for m in mols]
    assert all(0.75 < length / 1.52 < 1.30 for length in lengths)  # carbon to carbon, as every answer promises
    assert len({mol.GetConformer().GetPositions().tobytes() for mol in mols}) == 6


def test_structure_is_a_centred_shape(ask):
    (result,) = answer_of(ask("CCO", format="json")).results
    for x in result.structure["coordinates"]:
        assert np.abs(np.mean(x, axis=0)).max() < 1e-3


def test_same_seed_gives_the_same_bytes(ask):
    first, second = (ask("CCO", "CO", seed=3, accept=MEDIA["sdf"]) for _ in range(2))
    assert first.status_code == 200
    assert first.content == second.content
    other = ask("CCO", "CO", seed=4, accept=MEDIA["sdf"])
    assert other.content != first.content


def test_structures_do_not_depend_on_the_rest_of_the_request(ask):
    alone = answer_of(ask({"id": "x", "smiles": "CCO"}, seed=3)).results[0]
    among = answer_of(ask("C", "CCC", {"id": "x", "smiles": "CCO"}, "CO", seed=3)).results[2]
    assert [c.seed for c in alone.conformers] == [c.seed for c in among.conformers]
    np.testing.assert_allclose(positions(among.structure), positions(alone.structure), atol=2e-3)


def test_drawn_seed_is_returned_and_gives_the_same_again(ask):
    first, second = (answer_of(ask("CCO", seed=None)) for _ in range(2))
    assert first.seed != second.seed
    assert 0 <= first.seed < 2**53
    again = answer_of(ask("CCO", seed=first.seed))
    assert again.results == first.results


def test_conformer_can_be_made_again_by_its_own_seed(ask):
    (result,) = answer_of(ask("CCO", num_conformers=4, seed=10, format="json")).results
    last = result.conformers[-1]
    (again,) = answer_of(ask("CCO", num_conformers=1, seed=last.seed, format="json")).results
    np.testing.assert_allclose(again.structure["coordinates"][0], result.structure["coordinates"][-1], atol=2e-3)


def test_structures_have_the_stereo_that_was_asked_for(ask, records):
    mirror = "C[C@@H](N)C(=O)O"
    answer = answer_of(ask(ALANINE, mirror, "C/C=C/C", "C/C=C\\C", num_conformers=4, sampler={"steps": 50}))
    asked = [Chem.CanonSmiles(s) for s in (ALANINE, mirror, "C/C=C/C", "C/C=C\\C")]
    assert [result.smiles for result in answer.results] == asked
    assert sum(result.num_returned for result in answer.results) > 0
    for result, smiles in zip(answer.results, asked, strict=True):
        for mol in records(result.structure or ""):
            assert plain(mol) == smiles


# The service around the sampler: structures by ETKDG, so that all of them are there.


@pytest.mark.parametrize("file_format", [*FORMATS, "json"])
def test_structures_come_in_every_format(ask, perfect, file_format):
    (result,) = answer_of(ask("CCO", format=file_format)).results
    markers = {"sdf": "$$$$", "pdb": "ENDMDL", "xyz": "\nC ", "mmcif": "_atom_site", "json": "coordinates"}
    assert markers[file_format] in result.structure
    if file_format == "json":
        assert np.shape(result.structure["coordinates"]) == (2, 9, 3)


def test_sdf_file_names_every_record(ask, perfect, records):
    response = ask({"id": "mine", "smiles": "CCO"}, "C", seed=7, accept=MEDIA["sdf"])
    assert response.headers["content-type"].split(";")[0] == MEDIA["sdf"]
    mols = records(response.text)
    assert [m.GetProp("_Name") for m in mols] == ["mine", "mine", "molecule-2", "molecule-2"]
    assert [m.GetProp("id") for m in mols] == ["mine", "mine", "molecule-2", "molecule-2"]
    assert [m.GetProp("conformer") for m in mols] == ["0", "1", "0", "1"]
    assert [m.GetProp("seed") for m in mols] == ["7", "8", "7", "8"]
    assert {m.GetProp("model") for m in mols} == {MODEL}
    assert all(mol.GetConformer().Is3D() for mol in mols)


def test_pdb_file_names_every_record(ask, perfect):
    response = ask({"id": "mine", "smiles": "CCO"}, seed=7, accept=MEDIA["pdb"])
    assert response.headers["content-type"].split(";")[0] == MEDIA["pdb"]
    for number, seed in ((1, 7), (2, 8)):
        for key, value in {"ID": "mine", "CONFORMER": number - 1, "SEED": seed, "MODEL": MODEL}.items():
            assert f"REMARK 250 MODEL {number} {key} {value}" in response.text
    stack = PDBFile.read(io.StringIO(response.text)).get_structure()
    assert stack.coord.shape == (2, 9, 3)
    assert stack.element.tolist() == ["C", "C", "O"] + ["H"] * 6
    structure = gemmi.read_pdb_string(response.text)
    assert len(structure) == 2
    assert sum(1 for _ in structure[0].all()) == 9


def test_xyz_file_names_every_record(ask, perfect):
    response = ask({"id": "my own", "smiles": "CCO"}, seed=7, accept=MEDIA["xyz"])
    assert response.headers["content-type"].split(";")[0] == MEDIA["xyz"]
    lines = response.text.splitlines()
    assert len(lines) == 2 * 11
    for number, seed in ((0, 7), (1, 8)):
        frame = lines[11 * number : 11 * (number + 1)]
        assert frame[0] == "9"
        assert f"id=my_own conformer={number} seed={seed} model={MODEL}" in frame[1]
        assert Chem.MolFromXYZBlock("\n".join(frame)).GetNumAtoms() == 9


def test_mmcif_file_names_every_record(ask, perfect):
    response = ask({"id": "mine", "smiles": "CCO"}, "C", seed=7, accept=MEDIA["mmcif"])
    assert response.headers["content-type"].split(";")[0] == MEDIA["mmcif"]
    document = gemmi.cif.read_string(response.text)
    assert [block.name for block in document] == ["mine", "molecule-2"]
    table = document[0].find("_shapespace_conformer.", ["model_num", "id", "conformer", "seed", "model"])
    assert [list(row) for row in table] == [["1", "mine", "0", "7", MODEL], ["2", "mine", "1", "8", MODEL]]
    stack = get_structure(CIFFile.read(io.StringIO(response.text)), data_block="mine")
    assert stack.coord.shape == (2, 9, 3)


def test_file_answer_says_what_it_holds_in_its_headers(ask, perfect):
    response = ask("CCO", "C1CC", seed=7, accept=MEDIA["sdf"])
    headers = {name: response.headers[f"x-shapespace-{name}"] for name in ("model", "seed", "requested", "returned")}
    assert headers == {"model": MODEL, "seed": "7", "requested": "4", "returned": "2"}
    assert response.headers["x-shapespace-incomplete"] == "1"
    assert response.headers["content-disposition"] == 'attachment; filename="conformers.sdf"'


@pytest.mark.parametrize("file_format", FORMATS)
def test_zip_holds_a_file_per_molecule_and_a_manifest(ask, perfect, file_format):
    response = ask({"id": "../a b", "smiles": "CCO"}, "C1CC", "C", accept="application/zip", format=file_format)
    assert response.headers["content-type"] == "application/zip"
    archive = zipfile.ZipFile(io.BytesIO(response.content))
    assert archive.testzip() is None
    manifest = json.loads(archive.read("manifest.json"))
    assert (manifest["model"], manifest["seed"]) == (MODEL, 1)
    assert [result["status"] for result in manifest["results"]] == ["ok", "failed", "ok"]
    assert [result["id"] for result in manifest["results"]] == ["../a b", "molecule-2", "molecule-3"]
    files = [entry["file"] for entry in manifest["files"] if entry["file"]]
    assert sorted([*files, "manifest.json"]) == sorted(archive.namelist())
    assert len(files) == 2
    assert all(re.fullmatch(rf"\w[\w.-]*\.{FORMATS[file_format].extension}", name) for name in files)
    assert all(archive.read(name) for name in files)


def test_zip_of_the_same_seed_has_the_same_bytes(ask, perfect):
    first, second = (ask("CCO", accept="application/zip") for _ in range(2))
    assert first.content == second.content


def test_zip_without_files_is_refused(ask):
    response = ask("CCO", accept="application/zip", format="json")
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "format"


def test_type_that_cannot_be_made_is_refused(ask):
    response = ask("CCO", accept="text/html")
    assert response.status_code == 406
    assert response.headers["content-type"] == "application/problem+json"
    assert "chemical/x-mdl-sdfile" in response.json()["detail"]


@pytest.mark.parametrize("accept", ["*/*", "text/html, */*;q=0.1", "application/*"])
def test_json_is_what_comes_by_default(ask, perfect, accept):
    assert ask("C", accept=accept).headers["content-type"] == "application/json"


def test_labels_of_a_mol_block_survive(ask, perfect, records, files):
    spec = {"id": "labelled", "molblock": (files / "labelled.mol").read_text()}
    (result,) = answer_of(ask(spec, format="json")).results
    heavy = result.structure["atoms"][:6]
    assert [a["element"] for a in heavy] == ["C", "N", "C", "C", "O", "O"]
    assert [a["map"] for a in heavy] == [7, 2, 3, 4, 0, 5]
    assert [a["charge"] for a in heavy] == [0, 1, 0, 0, 0, -1]
    assert [a["isotope"] for a in heavy] == [13, 0, 0, 0, 0, 0]
    mols = records(ask(spec, accept=MEDIA["sdf"]).text)
    for mol in mols:
        atoms = list(mol.GetAtoms())[:6]
        assert [a.GetAtomMapNum() for a in atoms] == [7, 2, 3, 4, 0, 5]
        assert [a.GetFormalCharge() for a in atoms] == [0, 1, 0, 0, 0, -1]
        assert [a.GetIsotope() for a in atoms] == [13, 0, 0, 0, 0, 0]
        assert mol.GetProp("_Name") == "labelled"


def test_atom_order_of_smiles_survives(ask, perfect, records):
    (result,) = answer_of(ask("[H]OC([2H])C=O")).results
    for mol in records(result.structure):
        atoms = list(mol.GetAtoms())
        assert [a.GetSymbol() for a in atoms[:6]] == ["H", "O", "C", "H", "C", "O"]
        assert atoms[3].GetIsotope() == 2


@pytest.mark.parametrize("name", ["Näme, with $$$$ and / blanks", "分子", "a" * 80, ">  <seed>"])
def test_name_cannot_break_a_file(ask, perfect, records, name):
    for file_format in MEDIA.values():
        assert ask({"id": name, "smiles": "C"}, accept=file_format).status_code == 200
    response = ask({"id": name, "smiles": "C"}, "O", accept=MEDIA["sdf"])
    assert len(records(response.text)) == 4
    assert answer_of(ask({"id": name, "smiles": "C"})).results[0].id == name


def test_bad_molecule_fails_alone(ask, perfect):
    answer = answer_of(ask("CCO", "C1CC", "[Na]", "CC.O", "C", num_conformers=3))
    assert [result.status for result in answer.results] == ["ok", "failed", "failed", "failed", "ok"]
    assert [r.problems[0].reason for r in answer.results[1:4]] == [
        "unreadable",
        "unsupported_element",
        "multiple_fragments",
    ]
    assert "unclosed ring" in answer.results[1].problems[0].detail
    assert "allowed elements: H, B, C" in answer.results[2].problems[0].detail
    assert answer.results[1].smiles is None
    assert [result.id for result in answer.results] == [f"molecule-{k}" for k in range(1, 6)]


def test_answer_without_any_structure_is_still_an_answer(ask):
    answer = answer_of(ask("C1CC"))
    assert answer.results[0].status == "failed"


@pytest.mark.parametrize("accept", [MEDIA["sdf"], MEDIA["pdb"], "application/zip"])
def test_file_without_any_structure_is_a_problem(ask, accept):
    response = ask({"id": "x", "smiles": "C1CC"}, "[Na]", accept=accept)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert "unclosed ring" in problem["detail"]
    assert "x:" in problem["detail"]
    assert [result["status"] for result in problem["results"]] == ["failed", "failed"]


def test_open_stereo_is_chosen_by_the_seed_and_said(ask, perfect):
    chosen = {}
    for seed in range(8):
        (result,) = answer_of(ask("CC(F)O", seed=seed, num_conformers=1)).results
        assert "@" in result.smiles
        assert "stereo left open at atom 1 (C)" in result.notes[0]
        assert "enumerate" in result.notes[0]
        chosen[seed] = result.smiles
    assert len(set(chosen.values())) == 2
    assert answer_of(ask("CC(F)O", seed=5, num_conformers=1)).results[0].smiles == chosen[5]


def test_whole_stereo_needs_no_note(ask, perfect):
    assert answer_of(ask(ALANINE)).results[0].notes == []


def test_open_stereo_is_enumerated_on_request(ask, perfect):
    answer = answer_of(ask({"id": "a", "smiles": "CC(F)C(Cl)O"}, {"id": "b", "smiles": "C"}, stereo="enumerate"))
    assert [result.id for result in answer.results] == ["a"] * 4 + ["b"]
    assert len({result.smiles for result in answer.results}) == 5
    assert all("of 4" in result.notes[0] for result in answer.results[:4])
    few = answer_of(ask("CC(F)C(Cl)O", stereo="enumerate", max_stereoisomers=3))
    assert len(few.results) == 3
    assert "only the first 3" in few.results[0].notes[0]


@pytest.mark.parametrize(
    "sampler", [{"kind": "heun", "steps": 3}, {"kind": "ode", "steps": 3, "schedule": "log"}], ids=str
)
def test_other_samplers_are_served(ask, sampler):
    answer_of(ask("C", sampler=sampler))


# The warm start.


@pytest.mark.parametrize("fields", [{"start": "etkdg"}, {"start": "mmff94s", "sampler": {"start_time": 0.85}}], ids=str)
def test_warm_start_gives_the_structures_of_the_library(ask, client, fields):
    answer = answer_of(ask("OCCN", format="json", **{"sampler": {}} | fields))
    options = build_options(fields["start"], **fields.get("sampler", {}))
    assert answer.sampling.model_dump() == options.to_values()
    (molecule,) = build_molecules(read_smiles("OCCN"), 1)
    (made,) = generate(client.app.state.engine.model, [molecule], [2], [1], options)
    (result,) = answer.results
    assert [c.seed for c in result.conformers] == [c.seed for c in made.conformers] != []
    np.testing.assert_allclose(result.structure["coordinates"], [c.coordinates for c in made.conformers], atol=2e-3)


def test_answer_says_how_it_was_sampled(ask, perfect):
    expected = {
        "start": "mmff94s", "start_time": START_TIME["mmff94s"], "tries": 1,
        "kind": "heun", "steps": 20, "schedule": "uniform",
    }  # fmt: skip
    sampler = {"kind": "heun", "steps": 20}
    assert answer_of(ask("C", sampler=sampler)).sampling.model_dump() == expected
    archive = zipfile.ZipFile(io.BytesIO(ask("C", sampler=sampler, accept="application/zip").content))
    assert json.loads(archive.read("manifest.json"))["sampling"] == expected
    warm = answer_of(ask("C", start="etkdg", sampler={"start_time": 0.5})).sampling
    assert (warm.start, warm.start_time, warm.steps) == ("etkdg", 0.5, STEPS["etkdg"])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"start": "odd"}, "'noise', 'etkdg' or 'mmff94s'"),
        ({"start": "noise", "sampler": {"start_time": 0.5}}, "start_time is 0.5, but paths from noise begin at 0"),
        ({"start": "etkdg", "sampler": {"start_time": 1}}, "less than 1"),
        ({"start": "etkdg", "sampler": {"kind": "sde"}}, "'sde' needs the score of paths from noise"),
        ({"start": "etkdg", "sampler": {"tries": 2}}, "allowed: 1 to 32 with start 'mmff94s'"),
    ],
    ids=str,
)
def test_start_that_does_not_fit_is_explained(ask, fields, words):
    response = ask("C", **fields)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert words in response.json()["detail"]


@pytest.mark.parametrize(
    ("function", "patience"), [(partial(time.sleep, 600), 0.03), (partial(os._exit, 1), 1.0)], ids=["hangs", "dies"]
)
def test_molecule_that_cannot_be_embedded_is_sampled_from_noise(ask, sabotage, function, patience):
    sabotage("CCS", function, patience)
    alone = answer_of(ask("OCCN", start="etkdg", sampler={}, format="json")).results[0]
    bad, good = answer_of(
        ask("CCS", {"id": "molecule-1", "smiles": "OCCN"}, start="etkdg", sampler={}, format="json")
    ).results
    assert len(bad.conformers) + sum(p.count for p in bad.problems) == 2
    assert any(note.startswith("conformers sampled from noise") for note in bad.notes) == bool(bad.conformers)
    assert [c.seed for c in good.conformers] == [c.seed for c in alone.conformers] != []
    np.testing.assert_allclose(good.structure["coordinates"], alone.structure["coordinates"], atol=2e-3)


def test_time_of_a_request_also_ends_its_guesses(ask, sabotage, hasty):
    sabotage("CCS", partial(time.sleep, 600), 0.5)  # 5 s, of which the request has 3
    (result,) = answer_of(ask("CCS", start="etkdg")).results
    assert [(p.reason, p.count) for p in result.problems] == [("stopped", 2)]


def test_sampler_that_the_model_cannot_follow_is_explained(ask):
    response = ask("C", start="noise", sampler={"kind": "sde"})
    assert response.status_code == 422
    problem = response.json()
    assert problem["type"].endswith(":invalid_sampler")
    assert "no exact score" in problem["detail"]
    assert "'ode' or 'heun'" in problem["detail"]


def test_model_can_be_named(ask, perfect):
    assert answer_of(ask("C", model=MODEL)).model == MODEL
    assert ask("C", model="other").status_code == 422


def test_names_that_are_given_by_place_do_not_repeat_those_of_the_caller(ask, perfect):
    answer = answer_of(ask("C", {"id": "molecule-1", "smiles": "O"}))
    assert answer.results[1].id == "molecule-1"
    assert len({result.id for result in answer.results}) == 2


def test_title_of_a_mol_block_is_its_name(ask, perfect, files):
    block = (files / "alanine_wedge.mol").read_text()
    answer = answer_of(ask({"molblock": block}, {"id": "mine", "molblock": block}, {"molblock": "\n" + block}))
    assert [result.id for result in answer.results] == ["L-alanine", "mine", "molecule-3"]


def test_requests_at_the_same_time_get_their_own_answers(ask, perfect):
    chains = ["C" * k for k in range(1, 7)]
    answers = {}

    def go(smiles, seed):
        answers[smiles] = answer_of(ask(smiles, seed=seed, num_conformers=1))

    threads = [threading.Thread(target=go, args=(smiles, seed)) for seed, smiles in enumerate(chains)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, smiles in enumerate(chains):
        (result,) = answers[smiles].results
        assert (result.smiles, answers[smiles].seed, result.conformers[0].seed) == (smiles, seed, seed)


@pytest.fixture
def hasty(client, monkeypatch, small_settings):
    """Little time for a request, but all for reading, which may have to wait for a child process."""
    pool = client.app.state.pool
    read = pool.read
    monkeypatch.setattr(pool, "read", lambda readings, timeout_s: read(readings, small_settings.request_timeout_s))
    monkeypatch.setitem(
        client.app.state._state, "settings", small_settings.model_copy(update={"request_timeout_s": 3.0})
    )
    monkeypatch.setattr(client.app.state.engine, "estimate_s", lambda *work: 0.0)  # or it would become a job


def test_work_that_would_take_too_long_becomes_a_job(ask, client, monkeypatch, small_settings):
    short = small_settings.model_copy(update={"request_timeout_s": 10.0})
    monkeypatch.setitem(client.app.state._state, "settings", short)
    kept = []
    monkeypatch.setattr(client.app.state.engine, "estimate_s", lambda *work: kept.append(work) or 6.0)
    response = ask("CCO", num_conformers=3, sampler={"steps": 4})
    assert response.status_code == 202
    ((model, sizes, count, options),) = kept
    assert (model, count, options.steps) == ("main", 3, 4)
    assert 3 <= sizes[0] <= 9
    assert client.delete(response.headers["location"]).is_success


def test_file_that_is_not_finished_in_time_is_a_problem_of_the_service(ask, hasty):
    response = ask("CCCCCC", num_conformers=20, sampler={"steps": 1000}, accept=MEDIA["sdf"])
    assert response.status_code == 503
    assert "ask for less" in response.json()["detail"]
    assert int(response.headers["retry-after"]) > 0


def test_work_that_takes_too_long_is_reported_as_stopped(ask, hasty):
    answer = answer_of(ask("CCCCCC", num_conformers=20, sampler={"steps": 1000}))
    (problem,) = [p for p in answer.results[0].problems if p.reason == "stopped"]
    assert "ask for less" in problem.detail


# Finishing.

FINISH = {"relax": "mmff94s", "prune_rmsd": 0.125, "rank": True, "energy_window": 20.0}


def counts(problems):
    return {problem.reason: problem.count for problem in problems}


def test_nothing_is_finished_unless_it_is_asked_for(ask, perfect):
    for fields in ({}, {"finish": {}}):
        (result,) = answer_of(ask("CCO", **fields)).results
        assert (result.finish, result.num_pruned) == (None, 0)
        for c in result.conformers:
            energies = (c.energy_kcal_mol, c.relative_energy_kcal_mol, c.energy_method)
            assert (c.relaxed, energies) == (False, (None, None, None))


def test_ensemble_is_relaxed_pruned_and_ranked(ask, perfect, records):
    answer = answer_of(ask("CCCO", ALANINE, num_conformers=12, finish=FINISH))
    for result in answer.results:
        assert result.status == "ok"
        assert counts(result.finish.removed).get("duplicate", 0) > 0
        assert result.num_pruned == sum(counts(result.finish.removed).values())
        assert (result.finish.relax, result.finish.energy_method, result.finish.problems) == ("MMFF94s", "MMFF94s", [])
        energies = [c.energy_kcal_mol for c in result.conformers]
        above = [c.relative_energy_kcal_mol for c in result.conformers]
        assert energies == sorted(energies)
        assert above[0] == 0.0
        assert above == pytest.approx([energy - energies[0] for energy in energies], abs=1e-3)
        assert above[-1] <= 20.0
        assert all(c.relaxed and c.energy_method == "MMFF94s" for c in result.conformers)
        assert all(c.seed == answer.seed + c.index for c in result.conformers)
        mols = records(result.structure)
        assert {plain(mol) for mol in mols} == {result.smiles}
        assert [float(mol.GetProp("energy_kcal_mol")) for mol in mols] == energies
        assert [float(mol.GetProp("relative_energy_kcal_mol")) for mol in mols] == above
        assert {mol.GetProp("energy_method") for mol in mols} == {"MMFF94s"}
        assert [mol.GetProp("conformer") for mol in mols] == [str(c.index) for c in result.conformers]
    assert answer.timing_s.finish > 0


def test_pruned_conformers_are_counted_in_the_headers(ask, perfect):
    response = ask("CCO", "CB(O)O", num_conformers=6, finish=FINISH, accept=MEDIA["sdf"])
    returned, pruned = (int(response.headers[f"x-shapespace-{name}"]) for name in ("returned", "pruned"))
    assert pruned > 0
    assert returned + pruned == 12
    assert response.headers["x-shapespace-incomplete"] == "1"  # boron has no parameters


def test_molecule_without_parameters_comes_as_sampled_and_says_so(ask, perfect):
    bad, good = answer_of(ask("CCCB(O)O", "CCO", num_conformers=3, finish={"relax": "mmff94s"})).results
    assert bad.status == "ok"
    assert counts(bad.finish.problems) == {"no_mmff_parameters": 3}
    assert bad.finish.energy_method is None
    assert [c.relaxed for c in bad.conformers] == [False] * 3
    assert [c.relaxed for c in good.conformers] == [True] * 3
    raw = answer_of(ask("CCCB(O)O", num_conformers=3)).results[0]
    np.testing.assert_array_equal(positions(bad.structure), positions(raw.structure))


def test_finished_answer_does_not_depend_on_the_rest_of_the_request(ask, perfect):
    alone = answer_of(ask({"id": "x", "smiles": "CCCO"}, num_conformers=6, finish=FINISH)).results[0]
    among = answer_of(ask("CCO", {"id": "x", "smiles": "CCCO"}, num_conformers=6, finish=FINISH)).results[1]
    assert alone == among


def test_ensemble_whose_finishing_is_lost_comes_as_sampled(ask, perfect, monkeypatch):
    monkeypatch.setattr(Measuring, "patience", property(lambda job: 1e-9 if job.molecule.smiles == "CCCS" else 60.0))
    bad, good = answer_of(ask("CCCS", "CCO", num_conformers=8, finish={"relax": "mmff94s"})).results
    assert counts(bad.finish.problems) == {"finish_timeout": 8}
    assert bad.num_returned == 8
    assert not any(c.relaxed for c in bad.conformers)
    assert good.finish.problems == []
    assert all(c.relaxed for c in good.conformers)


@pytest.mark.parametrize(
    ("finish", "field", "words"),
    [
        ({"relax": "uff"}, "finish.relax", "mmff94s"),
        ({"energies": "xtb"}, "finish.energies", "mmff94s"),
        ({"prune_rmsd": 0}, "finish.prune_rmsd", "more than 0"),
        ({"prune_rmsd": 11}, "finish.prune_rmsd", "at most 10"),
        ({"prune_rmsd": "0.1"}, "finish.prune_rmsd", "number"),
        ({"relax": "mmff94s", "energy_window": -1}, "finish.energy_window", "more than 0"),
        ({"rank": 1, "relax": "mmff94s"}, "finish.rank", "boolean"),
        ({"rank": True}, "finish", "rank needs energies"),
        ({"energy_window": 6.0}, "finish", "energy_window needs energies"),
        ({"prune": 1}, "finish.prune", "the fields relax, energies, prune_rmsd, rank, energy_window"),
        ("all", "finish", "an object"),
    ],
    ids=str,
)
def test_finishing_that_cannot_be_done_is_refused_in_words(ask, finish, field, words):
    response = ask("C", finish=finish)
    assert response.status_code == 422
    (error,) = response.json()["errors"]
    assert error["field"] == field
    assert words in f"{error['message']} {error['allowed']}"
