import numpy as np
import pytest

from models.data.peptides import SECONDARY
from models.data.secondary import annotate_secondary


def letters(alpha):
    return "".join(SECONDARY[code] for code in annotate_secondary(alpha))


def spiral(count, rise, turn_deg, radius):
    turn = np.radians(turn_deg) * np.arange(count)
    return np.stack((radius * np.cos(turn), radius * np.sin(turn), rise * np.arange(count)), 1)


def test_helix_and_pair_of_strands_are_found():
    assert letters(spiral(20, 1.5, 100, 2.3)).count("H") >= 16
    strand = spiral(8, 3.3, 180, 0.9)
    assert letters(np.concatenate((strand, strand[::-1] + np.array([0, 4.8, 0])))).count("E") >= 10


def test_secondary_structure_agrees_with_the_set(backbones):
    found = np.concatenate([annotate_secondary(backbones.chain(k)[:, 1]) for k in range(len(backbones))])
    assert (found == backbones.secondary).mean() > 0.75  # of another program


def test_secondary_structure_does_not_depend_on_place(backbones):
    alpha = backbones.chain(0)[:, 1]
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    assert (annotate_secondary(alpha) == annotate_secondary(alpha @ turn.T + 20)).mean() > 0.98


def test_chains_that_are_too_long_or_too_wide_are_annotated_in_halves():
    helix = spiral(20, 1.5, 100, 2.3)
    assert letters(np.concatenate((helix, helix + 1e4))).count("H") >= 32
    assert letters(spiral(4200, 1.5, 100, 2.3)).count("H") >= 4190


@pytest.mark.parametrize(
    "alpha", [np.zeros((30, 3)), np.arange(90).reshape(30, 3) * 1e6, spiral(5, 1.5, 100, 2.3), np.zeros((0, 3))]
)
def test_chains_that_cannot_be_are_coil(alpha):
    assert letters(alpha) == "C" * len(alpha)
