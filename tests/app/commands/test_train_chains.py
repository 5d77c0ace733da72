"""Training runs on backbones: what a run folder keeps of its data."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.commands.train import packed_chains
from models.data.backbones import TRAIN, read_backbones, write_backbones
from models.data.residues import PAIR_SIZES, TOKEN_SIZES
from models.errors import DataError
from models.networks.denoiser import DenoiserConfig
from models.training.config import TrainConfig

DATA = Path(__file__).parents[2] / "files" / "backbones.npz"
NETWORK = DenoiserConfig(TOKEN_SIZES, PAIR_SIZES, points_per_token=4, anchor=1)
CONFIG = TrainConfig(NETWORK, prior="chain", prior_std_ang=1.05, coupling="none", bucket_sizes=(64, 96))


def test_run_keeps_its_training_chains_and_needs_the_set_no_more(tmp_path):
    first = packed_chains(tmp_path, [DATA], [], CONFIG)
    assert (first.split == TRAIN).all() and first.core.all() and first.lengths.max() <= 96
    again = packed_chains(tmp_path, [], [], CONFIG)
    assert again.keys.tolist() == first.keys.tolist()
    for k in range(len(first)):
        shift = first.chain(k)[0, 1] - again.chain(k)[0, 1]
        np.testing.assert_allclose(again.chain(k) + shift, first.chain(k), atol=0.011)
    facts = json.loads((tmp_path / "data.json").read_text())
    assert facts["kept"] == len(first) and facts["sources"] == ["backbones.npz"]


def test_run_that_was_begun_on_other_data_is_refused(tmp_path):
    packed_chains(tmp_path, [DATA], [], CONFIG)
    (tmp_path / "packed.npz").unlink()
    other = tmp_path / "other.npz"
    chains = read_backbones(DATA)
    write_backbones(other, replace(chains, core=np.ones(len(chains), bool)))
    with pytest.raises(DataError, match="run on other data"):
        packed_chains(tmp_path, [other], [], CONFIG)


@pytest.mark.parametrize(("data", "exclude", "words"), [
    ([], [], "name one set of backbones"), ([DATA, DATA], [], "name one set"), ([DATA], [DATA], "leave --exclude out"),
])  # fmt: skip
def test_data_of_a_new_run_is_one_set(tmp_path, data, exclude, words):
    with pytest.raises(DataError, match=words):
        packed_chains(tmp_path, data, exclude, CONFIG)
