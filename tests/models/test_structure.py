from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from models.data.batch import pad
from models.structure import Conformer, Ensemble, Finishing, PaddedBatch, Problem

SMILES = ("C", "C[C@H](N)C(=O)O", "C/C=C/C", "O[C@H](F)[C@@H](Cl)Br")


def same(first, second):
    return all(torch.equal(getattr(first, f.name), getattr(second, f.name)) for f in fields(PaddedBatch))


@pytest.fixture
def items(molecule_of):
    return [molecule_of(s).features for s in SMILES]


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_joined_batches_are_the_batch_of_all(items, cut):
    assert same(pad(items[:cut]).join(pad(items[cut:])), pad(items))
    assert same(pad(items[:cut], 20).join(pad(items[cut:])), pad(items, 20))


def test_taken_samples_come_in_the_order_asked(items):
    batch = pad(items)
    taken = batch.take(torch.tensor([2, 0, 2]))
    assert len(taken) == 3
    assert same(taken, pad([items[2], items[0], items[2]], 13).join(batch).take(torch.tensor([0, 1, 2])))


def test_batch_moves_as_a_whole(items):
    batch = pad(items)
    assert same(batch.to("cpu"), batch)
    assert {getattr(batch.to("meta"), f.name).device.type for f in fields(PaddedBatch)} == {"meta"}


@pytest.mark.parametrize(("made", "asked", "status"), [(2, 2, "ok"), (1, 2, "partial"), (0, 2, "failed"), (0, 0, "ok")])
def test_status_follows_the_count(molecule_of, made, asked, status):
    conformers = tuple(Conformer(k, k, np.zeros((5, 3), np.float32)) for k in range(made))
    assert Ensemble(molecule_of("C"), asked, conformers, (), asked, made).status == status


def test_conformers_left_out_as_asked_are_not_missing(molecule_of):
    x = np.zeros((5, 3), np.float32)
    done = Finishing(removed=(Problem("duplicate", "words", 2), Problem("energy_window", "words", 1)))
    ensemble = Ensemble(molecule_of("C"), 5, (Conformer(0, 0, x), Conformer(1, 1, x)), (), 5, 5, done)
    assert (ensemble.num_pruned, ensemble.status) == (3, "ok")
    assert replace(ensemble, requested=6).status == "partial"
    assert replace(ensemble, finishing=None).num_pruned == 0


def test_molecule_counts_its_hydrogens(molecule_of):
    assert molecule_of("CCO").num_atoms == molecule_of("CCO").features.num_tokens == 9
