import numpy as np
import pytest

from models.evaluation.backbones import studies
from models.evaluation.backbones.chains import Group, with_noise
from models.evaluation.backbones.rows import NATIVES, SAMPLES, TRAINING, measure
from models.evaluation.backbones.studies import compare_classes, score_sequences


@pytest.fixture(scope="module")
def rows(some):
    """Samples are the natural chains, one of them faulty; the control is noisy."""
    faulty = some.chains[0].copy()
    faulty[10:] += 30.0
    natural = Group(NATIVES, some.chains)
    samples, training = Group(SAMPLES, (faulty, *some.chains[1:])), Group(TRAINING, some.chains)
    return [measure(group) for group in (samples, natural, training, with_noise(natural, 1, 0))]


@pytest.fixture
def lengths_as_scores(monkeypatch):
    """A proxy that can be foreseen: the number of residues."""
    monkeypatch.setattr(studies, "sequence_nll", lambda group, seed: group.lengths.astype(float))


def test_only_sound_chains_are_judged_by_the_proxy(rows, some, lengths_as_scores):
    found = score_sequences(rows, 10, 0, lambda *args: None)
    natural = some.lengths[rows[1].passed]
    assert found[NATIVES]["limit"] == pytest.approx(np.percentile(natural, 95))
    assert found[SAMPLES]["chains"] == found[SAMPLES]["sound"] == rows[0].passed.sum() < len(some)
    judged = some.lengths[rows[0].passed] <= found[NATIVES]["limit"]
    assert found[SAMPLES]["within"]["mean"] == pytest.approx(judged.mean())
    assert TRAINING not in found


def test_rows_without_sound_chains_are_scored_but_not_judged(rows, lengths_as_scores):
    control = score_sequences(rows, 2, 0, lambda *args: None)[rows[3].group.name]
    assert control["chains"] == 2 and control["sound"] == 0 and control["within"] is None and control["nll"]


def test_classes_are_compared_with_the_natural_chains(rows):
    def model(group):
        share = np.clip(group.lengths[:, None] / 100, 0, 1)
        return np.concatenate((share, 1 - share, np.zeros((len(group), 5))), 1), np.tile(share, (1, 2))

    found = compare_classes(rows, model)
    assert found[NATIVES]["divergence"] is None and found[NATIVES]["frechet"] is None
    assert found[TRAINING]["divergence"][0] == pytest.approx(0, abs=1e-9)
    assert found[TRAINING]["frechet"] == pytest.approx(0, abs=1e-9)
    assert found[SAMPLES]["shares"]["a"] == pytest.approx(rows[0].group.lengths.mean() / 100)
