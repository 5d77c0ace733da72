import multiprocessing
from pathlib import Path

import pytest

from app.intake.job import Loss
from app.intake.reading import Reading, Refusal
from app.intake.worker import work

PATIENCE_S = 120
MEMORY_MB = 3000


@pytest.fixture(scope="module")
def child():
    """One worker without a pool: the process and the pipe to it."""
    context = multiprocessing.get_context("spawn")
    near, far = context.Pipe()
    process = context.Process(target=work, args=(far, MEMORY_MB), daemon=True)
    process.start()
    far.close()
    assert near.poll(PATIENCE_S)
    assert near.recv() is None
    yield process, near
    near.close()
    process.join(PATIENCE_S)
    assert process.exitcode == 0  # it ends by itself when nobody is there any more
    process.close()


@pytest.fixture
def read(child):
    def ask(kind, text, name="", seed=0, many=1):
        child[1].send((Reading(kind, text, name, seed, many), 60.0))
        assert child[1].poll(PATIENCE_S)
        return child[1].recv()

    return ask


def test_worker_reads_smiles(read):
    (molecule,) = read("smiles", "OC", "mine")
    assert (molecule.id, molecule.smiles, molecule.num_atoms, molecule.notes) == ("mine", "CO", 6, ())
    assert [atom.GetSymbol() for atom in molecule.mol.GetAtoms()] == ["O", "C", "H", "H", "H", "H"]
    assert molecule.features.num_tokens == 6


def test_worker_reads_molblocks_with_labels(read, files):
    (molecule,) = read("molblock", (files / "labelled.mol").read_text(), "labelled")
    heavy = list(molecule.mol.GetAtoms())[:6]
    assert [a.GetAtomMapNum() for a in heavy] == [7, 2, 3, 4, 0, 5]
    assert [a.GetFormalCharge() for a in heavy] == [0, 1, 0, 0, 0, -1]
    assert [a.GetIsotope() for a in heavy] == [13, 0, 0, 0, 0, 0]
    assert molecule.id == "labelled"


def test_worker_chooses_open_stereo_by_the_seed(read):
    chosen = {read("smiles", "CC(F)O", seed=seed)[0].smiles for seed in range(12)}
    assert len(chosen) == 2
    (molecule,) = read("smiles", "CC(F)O", seed=3)
    assert "stereo left open at atom 1 (C)" in molecule.notes[0]
    assert read("smiles", "CC(F)O", seed=3)[0].smiles == molecule.smiles


def test_worker_enumerates_stereoisomers(read):
    isomers = read("smiles", "CC(F)C(Cl)O", many=8)
    assert len({m.smiles for m in isomers}) == len(isomers) == 4


@pytest.mark.parametrize(
    ("text", "reason", "words"),
    [
        ("", "empty_input", "empty"),
        ("C1CC", "unreadable", "unclosed ring"),
        ("C(C)(C)(C)(C)C", "unreadable", "valence"),
        ("CC O", "invalid_smiles", "contains ' '"),
        ("[Na+].[Cl-]", "unsupported_element", "Na"),
        ("CC.O", "multiple_fragments", "2 unconnected fragments"),
        ("C*", "query_atom", "wildcard"),
        ("[CH3]", "radical", "unpaired electron"),
        ("C" * 2001, "too_large", "2001 characters"),
        ("C" * 100, "too_large", "302 atoms"),
    ],
)
def test_worker_says_why_it_refuses(read, text, reason, words):
    answer = read("smiles", text)
    assert isinstance(answer, Refusal)
    assert answer.reason == reason
    assert words in answer.detail


def test_worker_refuses_broken_molblocks(read):
    assert read("molblock", "CCO").reason == "invalid_molecule"
    assert read("molblock", "a\nb\nc\n  x  y\nM  END\n").reason == "unreadable"


def test_worker_survives_its_own_bugs(read):
    answer = read("no such reader", "CCO")
    assert isinstance(answer, Loss)
    assert answer.reason == "error"
    assert "KeyError" in answer.detail
    assert read("smiles", "C")[0].smiles == "C"


def test_worker_never_loads_torch(child, read):
    assert read("smiles", "C")[0].smiles == "C"
    maps = Path(f"/proc/{child[0].pid}/maps")
    if not maps.is_file():
        pytest.skip("no /proc here")
    assert "libtorch" not in maps.read_text()


def test_worker_has_bounded_memory(child):
    limits = Path(f"/proc/{child[0].pid}/limits")
    if not limits.is_file():
        pytest.skip("no /proc here")
    rows = {line[:25].strip(): line[25:].split()[0] for line in limits.read_text().splitlines()[1:]}
    assert rows["Max address space"] == str(MEMORY_MB * 2**20)
    assert rows["Max core file size"] == "0"
