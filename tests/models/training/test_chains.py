from itertools import count

import numpy as np
import pytest
import torch

from models.data.residues import PAIR_SIZES, TOKEN_SIZES
from models.errors import DataError
from models.samplers.prior import build_prior
from models.training.chains import ResidentChains, bucket_chains, choose_chains
from models.training.loop import train
from models.training.sample import draw_pair

CPU = torch.device("cpu")


def resident(backbones, edges=(64, 128), **options):
    options = {"core_only": False, "crop": False, **options}
    chosen, _ = choose_chains(backbones, edges[-1], **options)
    return [ResidentChains(chains, size, CPU) for chains, size in bucket_chains(chosen, edges)]


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def test_buckets_hold_training_chains_once(backbones):
    chosen, counts = choose_chains(backbones, 96, core_only=True, crop=False)
    buckets = bucket_chains(chosen, (64, 96))
    keys = [key for chains, _ in buckets for key in chains.keys.tolist()]
    assert len(keys) == len(set(keys)) == counts["kept"]
    assert sum(counts.values()) == len(backbones)
    assert counts["test_or_validation"] > 0
    for chains, size in buckets:
        assert (chains.split == 0).all()
        assert chains.core.all()
        assert chains.lengths.max() <= size
    with pytest.raises(DataError, match="no chain of at most 10"):
        choose_chains(backbones, 10, core_only=True, crop=False)


def test_drawn_chains_are_centred_members_of_their_cluster(backbones):
    for part in resident(backbones):
        rows = np.arange(len(part))
        batch, x = part.draw(rows, torch.rand(len(rows), generator=rng()), rng())
        mask = batch.point_mask(4)
        assert x.shape == (len(rows), 4 * part.size, 3)
        assert not x[~mask].any()
        assert (x * mask[..., None]).sum(1).abs().max() < 1e-2
        steps = (x.view(len(rows), -1, 4, 3)[:, 1:, 1] - x.view(len(rows), -1, 4, 3)[:, :-1, 1]).norm(dim=-1)
        inside = batch.token_mask[:, 1:]
        assert ((steps[inside] > 2.7) & (steps[inside] < 4.3)).all()


def test_long_chains_are_cut_anew_each_time(backbones):
    (part,) = resident(backbones, (40,), crop=True)
    rows, choice = np.arange(len(part)), torch.zeros(len(part))
    first, second = (part.draw(rows, choice, rng(seed))[1] for seed in (0, 1))
    assert first.shape[1] == 160
    assert (first - second).abs().amax((1, 2)).gt(1).any()


def test_conditions_are_told_sometimes(backbones):
    (part,) = resident(backbones, (128,))
    rows = np.resize(np.arange(len(part)), 400)
    tokens = part.draw(rows, torch.rand(400, generator=rng()), rng())[0].tokens[:, 0]
    helix, strand = tokens[:, 3] > 0, tokens[:, 4] > 0
    for told in (helix, strand):
        assert 0.2 < told.float().mean().item() < 0.4
    for both in (helix & strand, helix & ~strand, strand & ~helix):  # a caller may ask for one alone
        assert both.any()


def test_fractions_are_those_of_the_stretch(backbones):
    (part,) = resident(backbones, (24,), crop=True)
    rows = np.resize(np.arange(len(part)), 4000)
    tokens = part.draw(rows, torch.rand(4000, generator=rng()), rng(1))[0].tokens
    both = tokens[(tokens[:, 0, 3] > 0) & (tokens[:, 0, 6] > 0)]
    helix = (both[:, :, 6] == 1).float().mean(1)
    assert len(both) > 20
    assert helix.unique().numel() > 3
    assert (both[:, 0, 3] == 1 + (helix * 10).round().long()).all()


def test_pair_is_on_the_straight_path_of_all_points(backbones):
    part = resident(backbones)[0]
    pair = draw_pair(part, np.arange(len(part)), build_prior("gaussian", 8.0), False, rng())
    assert pair.mask.shape == pair.x_t.shape[:2]
    assert not pair.x_t[~pair.mask].any()
    assert not pair.begin.any()


def test_network_learns_chains(backbones, train_config, tiny_config, tmp_path):
    network = tiny_config(
        token_sizes=TOKEN_SIZES, pair_sizes=PAIR_SIZES, points_per_token=4, anchor=1, noise_std_ang=8.0,
        data_std_ang=8.0, offset_std_ang=1.0, frames=True,
    )  # fmt: skip
    config = train_config(
        network=network,
        prior="gaussian",
        prior_std_ang=8.0,
        coupling="none",
        tokens_per_step=96,
        budget_s=105.0,
        learning_rate=3e-3,
        matrix_learning_rate=0.0,
    )
    ticks, losses = count(), []
    sets = resident(backbones, (24,), crop=True)
    train(sets, config, tmp_path, CPU, lambda: float(next(ticks)), lambda r: losses.append(r["loss"]), half=False)
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("change", [{"prior": "harmonic"}, {"automorphisms": 5}])
def test_settings_that_do_not_fit_backbones_are_refused(train_config, tiny_config, change):
    network = tiny_config(points_per_token=4)
    with pytest.raises(DataError, match="backbones have several points per token"):
        train_config(**{"network": network, "prior": "gaussian", **change})
