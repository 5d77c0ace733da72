from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from models.data import packing
from models.data.datasets import flat_smiles
from models.errors import DataError
from models.experiments.material import Sources, build_material, without_automorphisms


def write_set(path, references, repeats=1):
    arrays = {
        "smiles": np.array([m.smiles for m in references]),
        "natom": np.array([len(m.numbers) for m in references]),
        "nconf": np.full(len(references), repeats),
        "z": np.concatenate([m.numbers for m in references]),
        "pos": np.concatenate([np.tile(m.coordinates[0], (repeats, 1)) for m in references]).astype(np.float32),
    }
    np.savez(path, **arrays)
    return path


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch):
    pool = SimpleNamespace(imap=lambda work, items, chunksize: map(work, items))
    context = SimpleNamespace(Pool=lambda *args, **options: nullcontext(pool))
    monkeypatch.setattr(packing, "get_context", lambda kind: context)


@pytest.fixture
def sources(tmp_path, references):
    """Sixteen molecules to learn from, two that are a test set, two ensembles."""
    data = write_set(tmp_path / "data.npz", references[:18])
    test = write_set(tmp_path / "test.npz", references[2:4])
    ensembles = write_set(tmp_path / "ensembles.npz", references[18:], 3)
    return Sources((data,), (test,), ensembles, (8, 16), None, 4, 2, 5, 6)


def test_no_molecule_is_both_learned_and_measured(sources, tmp_path, references):
    material = build_material(sources, tmp_path, 1)
    learned = sum(len(block.counts) for block in material.blocks)
    held = {flat_smiles(t.molecule.smiles) for t in (*material.targets, *material.sized)}
    tests = {flat_smiles(m.smiles) for m in references[2:4]}
    assert len(material.targets) == 4
    assert not held & tests
    flat = [flat_smiles(m.smiles) for m in references[:18]]
    assert learned == sum(key not in held | tests for key in flat) == material.counts["kept"]
    assert material.counts["test_or_held_out"] == 18 - learned


def test_ensembles_are_sampled_twice_as_often_and_single_structures_as_asked(sources, tmp_path):
    material = build_material(sources, tmp_path, 1)
    assert [(len(c.target.references), c.target.requested) for c in material.cases] == [(3, 6)] * 2
    fewer = build_material(replace(sources, validation=1), tmp_path / "fewer", 1)
    assert len(fewer.cases) == 1
    alone = build_material(replace(sources, references=None), tmp_path / "alone", 1)
    assert [(len(c.target.references), c.target.requested) for c in alone.cases] == [(1, 5)] * 4


def test_references_of_the_test_set_are_refused(sources, tmp_path):
    with pytest.raises(DataError, match="holds molecules of the excluded test sets"):
        build_material(replace(sources, references=sources.exclude[0]), tmp_path, 1)


def test_references_in_the_training_set_are_not_learned(sources, tmp_path, references):
    both = replace(sources, references=write_set(tmp_path / "part.npz", references[5:8]))
    material = build_material(both, tmp_path / "run", 1)
    held = {flat_smiles(t.molecule.smiles) for t in (*material.targets, *material.sized)}
    apart = {flat_smiles(m.smiles) for m in references[5:8]}
    assert not held & apart
    assert material.counts["kept"] <= 18 - 2 - 3 - len(held)


def test_packed_molecules_are_read_the_second_time(sources, tmp_path, monkeypatch):
    first = build_material(sources, tmp_path, 1)

    def refuse(*args):
        raise AssertionError("packed again")

    monkeypatch.setattr("models.experiments.material.pack", refuse)
    second = build_material(sources, tmp_path, 1)
    assert second.counts == first.counts
    for a, b in zip(first.blocks, second.blocks, strict=True):
        assert all((b.arrays()[name] == array).all() for name, array in a.arrays().items())


def test_large_molecules_are_neither_learned_nor_measured(sources, tmp_path, references):
    material = build_material(replace(sources, bucket_sizes=(8,)), tmp_path, 1)
    assert material.counts["too_large"] == sum(len(m.numbers) > 8 for m in references[:18]) > 0
    atoms = [t.molecule.num_atoms for t in (*material.targets, *material.sized, *(c.target for c in material.cases))]
    assert max(atoms) <= 8
    with pytest.raises(DataError, match="holds no molecule of at most 4 atoms"):
        build_material(replace(sources, bucket_sizes=(4,), validation=1), tmp_path / "small", 1)


def test_automorphisms_can_be_left_out(sources, tmp_path):
    material = build_material(sources, tmp_path, 1)
    assert all(block.automorphisms is not None for block in material.blocks)
    bare = without_automorphisms(material.blocks)
    assert all("automorphisms" not in block.arrays() for block in bare)


def test_most_molecules_bound_the_set(sources, tmp_path):
    counts = build_material(replace(sources, max_molecules=9), tmp_path, 1).counts
    assert sum(value for value in counts.values() if isinstance(value, int)) == 9


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": ()}, "--data"),
        ({"exclude": ()}, "--exclude"),
        ({"validation": 0}, "--validation"),
        ({"validation": 100}, "nothing|no molecule is left to learn from"),
    ],
)
def test_sources_that_leave_nothing_are_refused(sources, tmp_path, changes, words):
    with pytest.raises(DataError, match=words):
        build_material(replace(sources, **changes), tmp_path, 1)
