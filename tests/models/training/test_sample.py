import numpy as np
import pytest
import torch

from models.data.automorphisms import add_automorphisms
from models.geometry.alignment import kabsch, rmsd
from models.geometry.internal import signed_volumes
from models.geometry.quotient import centre
from models.samplers.prior import build_prior
from models.training.sample import ResidentSet, draw_pair, renumber

CPU = torch.device("cpu")


@pytest.fixture
def resident(packed):
    return ResidentSet(packed[1], torch.device("cpu"))


def draw(resident, seed=0, coupled=True, prior="harmonic"):
    rows = np.arange(len(resident))
    return draw_pair(resident, rows, build_prior(prior, 1.0), coupled, torch.Generator().manual_seed(seed))


def test_taken_conformers_are_those_of_the_set(resident, packed):
    rows = np.array([3, 0, 3])
    batch, x = resident.take(rows)
    block = packed[1]
    assert len(resident) == len(block.counts)
    assert (x.numpy() == block.coordinates[rows]).all()
    assert (batch.tokens.numpy() == block.tokens[rows]).all()
    assert (batch.pairs.numpy() == block.pairs[rows]).all()
    assert batch.token_mask.sum(1).tolist() == block.counts[rows].tolist()
    assert ((block.quadruples[rows][:, :, 0] >= 0) == batch.quadruple_mask.numpy()).all()
    assert batch.quadruples.min() >= 0


def test_pair_is_a_turned_structure_on_a_straight_path(resident):
    pair = draw(resident)
    _, x = resident.take(np.arange(len(resident)))
    distances = [torch.cdist(s, s) for s in (x, pair.x_data)]
    both = pair.batch.token_mask[:, :, None] & pair.batch.token_mask[:, None]
    torch.testing.assert_close(distances[1][both], distances[0][both], atol=1e-4, rtol=1e-4)
    assert not torch.allclose(x, pair.x_data, atol=0.1)
    for tensor in (pair.x_t, pair.x_data):
        assert not tensor[~pair.batch.token_mask].any()
        torch.testing.assert_close(centre(tensor, pair.batch.token_mask), tensor, atol=1e-5, rtol=1e-5)
    assert ((pair.t >= 0) & (pair.t <= 1)).all()


def test_turning_keeps_the_handedness(resident):
    pair = draw(resident)
    volume, _ = signed_volumes(pair.x_data, pair.batch.quadruples)
    assert pair.batch.quadruple_mask.any()
    assert (volume[pair.batch.quadruple_mask] > 0.3).all()


@pytest.mark.parametrize("prior", ["harmonic", "gaussian"])
def test_coupled_noise_lies_on_its_target(resident, prior):
    def noise(coupled):
        pair = draw(resident, 1, coupled, prior)
        x_noise = (pair.x_t - pair.t[:, None, None] * pair.x_data) / (1 - pair.t).clamp(min=1e-2)[:, None, None]
        return x_noise, pair.x_data, pair.batch.token_mask

    turn = kabsch(*noise(True))
    torch.testing.assert_close(turn, torch.eye(3).expand_as(turn), atol=2e-2, rtol=0)
    assert (kabsch(*noise(False)) - torch.eye(3)).abs().amax((1, 2)).max() > 0.5


def test_pairs_are_a_function_of_the_seed(resident):
    first, again, other = draw(resident, 5), draw(resident, 5), draw(resident, 6)
    assert torch.equal(first.x_t, again.x_t)
    assert torch.equal(first.t, again.t)
    assert not torch.equal(first.x_t, other.x_t)


def test_renumbered_noise_is_never_further_from_its_target(packed):
    with_choice = ResidentSet(add_automorphisms(packed[1], 50), torch.device("cpu"))
    before, after = (draw(data, 3, prior="gaussian") for data in (ResidentSet(packed[1], CPU), with_choice))
    assert torch.equal(before.x_data, after.x_data) and torch.equal(before.t, after.t)
    t = before.t[:, None, None].clamp(max=0.99)
    noises = [(pair.x_t - t * pair.x_data) / (1 - t) for pair in (before, after)]
    distances = [(x - before.x_data).square().sum((1, 2)) for x in noises]
    assert (distances[1] < distances[0] + 1e-3).all()
    assert (distances[1] < 0.97 * distances[0]).sum() > len(t) / 3
    for sizes in zip(*(x.norm(dim=-1).sort(1).values for x in noises), strict=True):  # the same points, renamed
        torch.testing.assert_close(*sizes, atol=1e-3, rtol=1e-3)


def test_renumbering_takes_the_best_of_all_choices(packed):
    data = ResidentSet(add_automorphisms(packed[1], 6), CPU)
    rows = np.arange(len(data))
    batch, x_data = data.take(rows)
    noise = build_prior("harmonic", 1.0)(torch.randn_like(x_data), batch.token_mask, batch.bonded)
    distances = torch.stack(
        [
            rmsd(noise.gather(1, p.long()[..., None].expand(-1, -1, 3)), x_data, batch.token_mask)
            for p in data.automorphisms.unbind(1)
        ]
    )
    chosen = rmsd(renumber(noise, x_data, data.automorphisms), x_data, batch.token_mask)
    torch.testing.assert_close(chosen, distances.amin(0), atol=1e-4, rtol=1e-4)


def test_automorphisms_wait_for_a_coupling(packed):
    plain, with_choice = (
        draw(ResidentSet(block, CPU), coupled=False) for block in (packed[1], add_automorphisms(packed[1], 50))
    )
    assert torch.equal(plain.x_t, with_choice.x_t)
