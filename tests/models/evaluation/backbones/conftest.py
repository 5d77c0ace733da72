from dataclasses import replace

import numpy as np
import pytest

from models.data.backbones import TEST, TRAIN, VALIDATION
from models.evaluation.backbones.chains import Group


@pytest.fixture(scope="session")
def split_chains(backbones):
    """The nineteen chains with members of all three splits among those of 56 to 71 residues."""
    split = np.full(len(backbones), TRAIN, np.uint8)
    middle = np.flatnonzero((backbones.lengths >= 56) & (backbones.lengths < 72))
    split[middle[:4]] = VALIDATION
    split[middle[4:6]] = TEST
    return replace(backbones, split=split)


@pytest.fixture(scope="session")
def some(backbones):
    """Six natural chains, two of them of 64 residues."""
    return Group("some", tuple(backbones.chain(k).astype(np.float64) for k in (10, 12, 4, 11, 18, 3)))


@pytest.fixture
def turned():
    """Move a chain as a whole."""

    def move(x):
        turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
        turn *= np.sign(np.linalg.det(turn))
        return x @ turn.T + 7.0

    return move
