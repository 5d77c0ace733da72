from dataclasses import replace

import pytest
import torch

from models.data.batch import pad
from models.data.residues import PAIR_SIZES, TOKEN_SIZES, build_residues, no_conditions
from models.errors import DataError
from models.geometry.rigid import random_rotation, rotate
from models.networks.preconditioning import PreconditionedDenoiser

SMILES = ("C", "C[C@H](N)C(=O)O", "C/C=C/C", "O[C@H](F)[C@@H](Cl)Br")


def batch_of(molecule_of, size=None):
    return pad([molecule_of(s).features for s in SMILES], size)


def points_of(batch, points=1):
    generator = torch.Generator().manual_seed(1)
    mask = batch.token_mask.repeat_interleave(points, 1).unsqueeze(-1)
    shape = (*mask.shape[:2], 3)
    return torch.randn(shape, generator=generator) * mask, torch.randn(shape, generator=generator) * mask


@pytest.mark.parametrize("points", [1, 4])
@pytest.mark.parametrize("conditioning", [True, False])
def test_output_has_one_vector_per_point(molecule_of, tiny_config, shaken, points, conditioning):
    batch = batch_of(molecule_of)
    module = shaken(tiny_config(points_per_token=points, anchor=points // 2, self_conditioning=conditioning))
    x, guess = points_of(batch, points)
    out = module(batch, x, torch.tensor([0.0, 0.3, 0.9, 1.0]), guess)
    assert out.shape == (4, 13 * points, 3)
    assert out.isfinite().all()
    mask = batch.token_mask.repeat_interleave(points, 1)
    assert not out[~mask].any()
    assert (out[mask].abs() > 0).any(dim=-1).all()


@pytest.mark.parametrize("points", [1, 4])
def test_padding_and_batch_mates_do_not_matter(molecule_of, tiny_config, shaken, points):
    batch = batch_of(molecule_of, 24)
    module = shaken(tiny_config(points_per_token=points, anchor=points - 1))
    x, guess = points_of(batch, points)
    t = torch.tensor([0.0, 0.3, 0.6, 0.95])
    together = module(batch, x, t, guess)
    for row, smiles in enumerate(SMILES):
        item = molecule_of(smiles).features
        n = item.num_tokens * points
        alone = module(pad([item]), x[row : row + 1, :n], t[row : row + 1], guess[row : row + 1, :n])
        torch.testing.assert_close(alone[0], together[row, :n], atol=1e-5, rtol=1e-4)


def test_whatever_stands_in_the_padding_is_ignored(molecule_of, tiny_config, shaken):
    batch = batch_of(molecule_of, 16)
    module = shaken(tiny_config())
    x, guess = points_of(batch)
    t = torch.full((4,), 0.5)
    before = module(batch, x, t, guess)
    dirty = replace(batch, tokens=batch.tokens.clone(), pairs=batch.pairs.clone())
    dirty.tokens[~batch.token_mask] = 1
    dirty.pairs[~batch.token_mask] = 7
    dirty.pairs.mT[~batch.token_mask] = 7
    junk = torch.where(batch.token_mask.unsqueeze(-1), 0.0, 50.0)
    torch.testing.assert_close(module(dirty, x + junk, t, guess - junk), before, atol=1e-5, rtol=1e-5)


def test_each_item_has_its_own_time(molecule_of, tiny_config, shaken):
    batch = batch_of(molecule_of)
    module = shaken(tiny_config())
    x, guess = points_of(batch)
    before = module(batch, x, torch.tensor([0.2, 0.2, 0.2, 0.2]), guess)
    after = module(batch, x, torch.tensor([0.2, 0.2, 0.7, 0.2]), guess)
    changed = (before - after).abs().amax((1, 2)) > 1e-3
    assert changed.tolist() == [False, False, True, False]


def test_quadruples_of_padding_are_ignored(molecule_of, tiny_config, shaken):
    batch = batch_of(molecule_of)
    module = shaken(tiny_config())
    x, guess = points_of(batch)
    t = torch.full((4,), 0.5)
    other = replace(batch, quadruples=torch.where(batch.quadruple_mask.unsqueeze(-1), batch.quadruples, 3))
    assert torch.equal(module(other, x, t, guess), module(batch, x, t, guess))
    blind = replace(batch, quadruple_mask=torch.zeros_like(batch.quadruple_mask))
    changed = (module(blind, x, t, guess) - module(batch, x, t, guess)).abs().amax((1, 2)) > 1e-4
    assert changed.tolist() == [False, True, False, True]


def test_previous_guess_is_an_input_only_when_asked(molecule_of, tiny_config, shaken):
    batch = batch_of(molecule_of)
    x, guess = points_of(batch)
    t = torch.full((4,), 0.5)
    for conditioning in (True, False):
        module = shaken(tiny_config(self_conditioning=conditioning))
        assert torch.equal(module(batch, x, t, guess), module(batch, x, t)) != conditioning


def test_pair_bias_is_blind_to_rotation(molecule_of, tiny_config, shaken):
    batch = batch_of(molecule_of)
    network = shaken(tiny_config()).network
    x, guess = points_of(batch)
    rotation = random_rotation(torch.tensor([[0.3, -0.5, 0.2, 0.9]]).expand(4, 4))
    condition = torch.randn(4, 16, generator=torch.Generator().manual_seed(2))
    before = network._pair_bias(batch, (x, guess), condition)
    after = network._pair_bias(batch, (rotate(x, rotation), rotate(guess, rotation)), condition)
    torch.testing.assert_close(after, before, atol=1e-4, rtol=1e-4)
    assert (before[0, :, :, :, 5:] == float("-inf")).all()
    assert before[0, :, :, :, :5].isfinite().all()


def test_single_atom_has_a_finite_output(molecule_of, tiny_config, shaken):
    out = shaken(tiny_config())(pad([molecule_of("[Cl-]").features]), torch.zeros(1, 1, 3), torch.tensor([0.0]))
    assert out.isfinite().all()


def test_fresh_network_does_not_know_of_warm_starts_yet(molecule_of, tiny_config, shaken):
    torch.manual_seed(0)
    module = PreconditionedDenoiser(tiny_config(warm_starts=True)).requires_grad_(False)
    module.network.read_out.weight.normal_()
    batch = batch_of(molecule_of)
    x, t = points_of(batch)[0], torch.full((len(batch),), 0.8)
    cold, warm = (module(batch, x, t, begin=torch.full_like(t, begin)) for begin in (0.0, 0.7))
    assert torch.equal(cold, warm)
    module.network.embed_begin.weight.normal_()
    assert torch.equal(cold, module(batch, x, t))
    module.network.modulation.weight.normal_()
    assert not torch.allclose(module(batch, x, t), module(batch, x, t, begin=torch.full_like(t, 0.7)))


LOCAL = {
    "token_sizes": TOKEN_SIZES, "pair_sizes": PAIR_SIZES, "points_per_token": 4, "anchor": 1, "offset_std_ang": 1.05,
    "noise_offset_std_ang": 1.05, "frames": True, "local": True,
}  # fmt: skip


def chains(lengths, size):
    batch = build_residues(torch.tensor(lengths), size, no_conditions(len(lengths), size))
    mask = batch.point_mask(4).unsqueeze(-1)
    x, guess = (5 * torch.randn(len(lengths), 4 * size, 3, dtype=torch.float64) * mask for _ in range(2))
    return batch, x, guess, torch.linspace(0, 0.9, len(lengths), dtype=torch.float64)


@pytest.mark.parametrize("contacts", [0, 3])
@pytest.mark.parametrize("conditioning", [True, False])
def test_local_network_turns_with_its_input_and_not_with_its_mirror(tiny_config, shaken, conditioning, contacts):
    module = shaken(tiny_config(**LOCAL, self_conditioning=conditioning, contacts=contacts)).double()
    batch, x, guess, t = chains([12, 7], 12)
    turn = random_rotation(torch.randn(2, 4, dtype=torch.float64))
    for before in (guess, torch.zeros_like(guess)):
        out = module(batch, x, t, before)
        torch.testing.assert_close(module(batch, rotate(x, turn), t, rotate(before, turn)), rotate(out, turn))
        mirrored = module(batch, -x, t, -before)
        assert (mirrored + out).abs().max() > 1e-3


@pytest.mark.parametrize("contacts", [0, 3, 14])
def test_local_network_ignores_padding_and_batch_mates(tiny_config, shaken, contacts):
    module = shaken(tiny_config(**LOCAL, contacts=contacts)).double()
    batch, x, guess, t = chains([12, 7], 15)
    together = module(batch, x, t, guess)
    for row, length in enumerate((12, 7)):
        alone, _, _, _ = chains([length], length)
        own = module(alone, x[row : row + 1, : 4 * length], t[row : row + 1], guess[row : row + 1, : 4 * length])
        torch.testing.assert_close(own[0], together[row, : 4 * length])


def test_local_network_needs_frames(tiny_config):
    with pytest.raises(DataError, match="local needs frames"):
        tiny_config(**{**LOCAL, "frames": False})


@pytest.mark.parametrize("changes", [{"contacts": -1}, {"contacts": 4, "local": False}])
def test_contacts_need_a_local_network(tiny_config, changes):
    with pytest.raises(DataError, match="contacts is"):
        tiny_config(**{**LOCAL, **changes})


def test_contacts_say_nothing_before_training(tiny_config, shaken):
    module = shaken(tiny_config(**LOCAL))
    more = PreconditionedDenoiser(tiny_config(**LOCAL, contacts=3))
    missing, unexpected = more.load_state_dict(module.state_dict(), strict=False)
    assert missing and not unexpected
    batch, x, guess, t = chains([12, 7], 12)
    x, guess, t = x.float(), guess.float(), t.float()
    before = module(batch, x, t, guess)
    assert torch.equal(more(batch, x, t, guess), before)
    more.network.contact_messages[0].project_out.weight.data.normal_()
    assert not torch.allclose(more(batch, x, t, guess), before)
