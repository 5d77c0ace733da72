"""The set itself, the counts, and the whole command with a network that knows nothing yet."""

import json
from pathlib import Path

import pytest

from app.commands import challenge as command
from models.data.molecule import build_molecules, read_smiles
from models.errors import DataError
from models.evaluation.baseline import EMBEDDED
from models.evaluation.challenge import (
    ALL,
    FIRST_DRAW,
    Entry,
    build_challenge_record,
    read_entries,
    run_challenge,
    to_challenge_markdown,
)
from models.options import SampleOptions

GROUPS = [
    "rings", "macrocycles", "double-bonds", "ring-double-bonds", "hetero-stereo", "stereocentres", "charges",
    "elements",
]  # fmt: skip


@pytest.fixture(scope="module")
def shipped():
    """Every molecule of the shipped set, read."""
    return [(entry, build_molecules(read_smiles(entry.smiles, entry.name), 0)) for entry in read_entries()]


def test_shipped_set_is_read_and_leaves_no_stereo_open(shipped):
    assert 60 <= len(shipped) <= 100
    assert len({molecules[0].smiles for _, molecules in shipped}) == len(shipped)
    assert len({entry.name for entry, _ in shipped}) == len(shipped)
    for entry, molecules in shipped:
        assert len(molecules) == 1, entry
        assert molecules[0].notes == (), entry


def test_groups_of_the_shipped_set_hold_what_they_say(shipped):
    assert list(dict.fromkeys(entry.group for entry, _ in shipped)) == GROUPS
    by_group = {group: [m[0] for entry, m in shipped if entry.group == group] for group in GROUPS}
    assert all(len(molecules) >= 10 for molecules in by_group.values())
    for molecule in by_group["macrocycles"]:
        assert 12 <= max(map(len, molecule.mol.GetRingInfo().AtomRings())) <= 20, molecule.id
    for group in ("double-bonds", "ring-double-bonds"):
        for molecule in by_group[group]:
            assert any(b.GetStereo().name in ("STEREOE", "STEREOZ") for b in molecule.mol.GetBonds()), molecule.id
    for molecule in by_group["hetero-stereo"]:
        tagged = {a.GetSymbol() for a in molecule.mol.GetAtoms() if a.GetChiralTag()}
        assert tagged & {"S", "P", "Si", "N"}, molecule.id
    for molecule in by_group["stereocentres"]:
        assert sum(bool(a.GetChiralTag()) for a in molecule.mol.GetAtoms()) >= 2, molecule.id
    for molecule in by_group["charges"]:
        assert any(a.GetFormalCharge() for a in molecule.mol.GetAtoms()), molecule.id
    special = {"F", "Cl", "Br", "I", "B", "Si", "P", "S", "As", "Se"}
    seen = {a.GetSymbol() for molecule in by_group["elements"] for a in molecule.mol.GetAtoms()}
    assert special <= seen


def test_perfect_model_passes_and_bad_molecules_are_named(molecule_of, oracle, model_of):
    smiles = ["CCO", "C[C@H](N)C(=O)O", "C1CC", "C/C=C/C"]
    entries = [Entry(text, "one" if k < 2 else "two", f"m{k}") for k, text in enumerate(smiles)]
    knows = oracle(*(molecule_of(text) for text in smiles if text != "C1CC"))
    seen = []
    results = run_challenge(
        model_of(knows), entries, 3, 0, SampleOptions(steps=2), on_progress=lambda *args: seen.append(args)
    )
    assert [result["failure"] for result in results] == [None, None, "unreadable", None]
    assert ("sampling the model", 9, 9) in seen
    record = build_challenge_record(results, {"date": "today"})
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert [(line["group"], line["molecules"]) for line in record["summary"]] == [("one", 2), ("two", 2), (ALL, 4)]
    for name in (FIRST_DRAW, EMBEDDED):
        one, two, both = (line["rows"][name] for line in record["summary"])
        assert one == {"asked": 6, "passed": 6, "stereo_asked": 3, "stereo_right": 3, "faults": {}}
        assert two == {"asked": 6, "passed": 3, "stereo_asked": 3, "stereo_right": 3, "faults": {"unreadable": 3}}
        assert both["asked"] == 12
    table = to_challenge_markdown(record)
    assert "| one | 2 | 6 | 100.0 | 100.0 | 100.0 | 100.0 |" in table
    assert "| two | 2 | 6 | 50.0 | 100.0 | 50.0 | 100.0 |" in table
    assert "- two, ETKDGv3: 3 unreadable." in table


def test_faulty_first_draws_are_not_drawn_again(molecule_of, oracle, model_of):
    knows = oracle(molecule_of("CCO"), fails=lambda x: True)
    (result,) = run_challenge(
        model_of(knows), [Entry("CCO", "one", "ethanol")], 2, 0, SampleOptions(steps=2, rounds=5), baseline=False
    )
    assert result["rows"] == {
        FIRST_DRAW: {"asked": 2, "passed": 0, "stereo_asked": 0, "stereo_right": 0, "faults": {"broken_bond": 2}}
    }


def test_set_without_groups_or_molecules_is_refused(tmp_path):
    path = tmp_path / "x.smi"
    with pytest.raises(DataError, match="no file"):
        read_entries(path)
    path.write_text("# only a comment\n\n")
    with pytest.raises(DataError, match="holds no molecule"):
        read_entries(path)
    path.write_text("CCO alcohols ethanol\nCO\n")
    with pytest.raises(DataError, match="line 2 of"):
        read_entries(path)
    path.write_text("CCO alcohols\nCO alcohols wood alcohol\n")
    assert [entry.name for entry in read_entries(path)] == ["CCO", "wood alcohol"]


def test_count_below_one_is_refused(molecule_of, oracle, model_of):
    with pytest.raises(DataError, match="give 1 or more"):
        run_challenge(model_of(oracle(molecule_of("CCO"))), [Entry("CCO", "a", "b")], 0, 0, SampleOptions())


def test_command_writes_record_and_table(tmp_path, monkeypatch, molecule_of, oracle, model_of):
    (tmp_path / "set.smi").write_text("CCO alcohols ethanol\n")
    model = model_of(oracle(molecule_of("CCO")))
    monkeypatch.setattr(command, "choose_model", lambda *arguments: model)
    monkeypatch.setattr(command, "provenance", lambda *arguments: {"settings": {"steps": 2}})
    out = tmp_path / "out"
    command.run(tmp_path / "set.smi", "tiny", Path("weights"), None, SampleOptions(steps=2), 2, 7, True, "cpu", out)
    record = json.loads((out / "challenge.json").read_text(encoding="utf-8"))
    assert record["settings"] == {"steps": 2, "structures_per_molecule": 2, "seed": 7}
    assert record["summary"][-1]["rows"][FIRST_DRAW]["passed"] == 2
    assert "| alcohols | 1 | 2 | 100.0 | - | 100.0 | - |" in (out / "challenge.md").read_text(encoding="utf-8")
