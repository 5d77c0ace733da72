import numpy as np
import pytest
import torch

from models.data.automorphisms import add_automorphisms
from models.data.datasets import ReferenceMolecule
from models.data.packing import pack
from models.geometry.alignment import kabsch, rmsd
from models.geometry.internal import signed_volumes
from models.geometry.quotient import centre
from models.samplers.prior import build_prior
from models.training.sample import ResidentSet, WarmStarts, draw_pair, renumber

CPU = torch.device("cpu")


@pytest.fixture
def resident(packed):
    return ResidentSet(packed[1], torch.device("cpu"))


def draw(resident, seed=0, coupled=True, prior="harmonic"):
    rows = np.arange(len(resident))
    return draw_pair(resident, rows, build_prior(prior, 1.0), coupled, torch.Generator().manual_seed(seed))


def test_taken_conformers_are_those_of_the_set(resident, packed):
    rows = np.array([3, 0, 3])
    batch, x = resident.take(rows), resident.draw_conformers(rows, torch.zeros(3))
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
    x = resident.draw_conformers(np.arange(len(resident)), torch.zeros(len(resident)))
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
    batch, x_data = data.take(rows), data.draw_conformers(rows, torch.zeros(len(rows)))
    renumberings = data.automorphisms(rows)
    noise = build_prior("harmonic", 1.0)(torch.randn_like(x_data), batch.token_mask, batch.bonded)
    distances = torch.stack(
        [
            rmsd(noise.gather(1, p.long()[..., None].expand(-1, -1, 3)), x_data, batch.token_mask)
            for p in renumberings.unbind(1)
        ]
    )
    chosen = rmsd(renumber(noise, x_data, renumberings), x_data, batch.token_mask)
    torch.testing.assert_close(chosen, distances.amin(0), atol=1e-4, rtol=1e-4)


def test_automorphisms_wait_for_a_coupling(packed):
    plain, with_choice = (
        draw(ResidentSet(block, CPU), coupled=False) for block in (packed[1], add_automorphisms(packed[1], 50))
    )
    assert torch.equal(plain.x_t, with_choice.x_t)


@pytest.fixture
def ensembles(references):
    """Two molecules with two conformers and four guesses each, and one without guesses."""
    rng = np.random.default_rng(0)
    molecules = []
    for reference in references[-3:-1]:
        x = reference.coordinates[0] + rng.normal(scale=0.3, size=(2, *reference.coordinates.shape[1:]))
        guesses = x[[0, 1, 0, 1]] + rng.normal(scale=0.05, size=(4, *x.shape[1:]))
        molecules.append(ReferenceMolecule(reference.smiles, reference.numbers, x, guesses))
    (block,), _ = pack([*molecules, references[-1]], (), (16,), processes=1)
    return ResidentSet(block, CPU)


def test_every_conformer_is_drawn(ensembles):
    rows = np.repeat(np.arange(3), 8)
    drawn = ensembles.draw_conformers(rows, torch.linspace(0, 1, 8).repeat(3)).view(3, 8, -1)
    assert [len({tuple(x.tolist()) for x in molecule}) for molecule in drawn] == [2, 2, 1]


def test_warm_paths_lead_from_a_guess_to_its_conformer(ensembles):
    rows, prior = np.repeat(np.arange(3), 40), build_prior("harmonic", 1.0)
    rng = torch.Generator().manual_seed(0)
    pair = draw_pair(ensembles, rows, prior, True, rng, WarmStarts(1.0, 0.6, 0.9))
    warm = torch.from_numpy(rows) < 2
    assert (pair.begin[~warm] == 0).all() and (pair.share[~warm] == pair.t[~warm]).all()
    assert ((pair.begin[warm] >= 0.6) & (pair.begin[warm] <= 0.9)).all()
    torch.testing.assert_close(pair.t, pair.begin + (1 - pair.begin) * pair.share)
    share = pair.share[:, None, None]
    early = warm & (pair.share < 0.9)
    x_begin = (pair.x_t - share * pair.x_data) / (1 - share)
    mask = pair.batch.token_mask
    # The path begins near its end: at a guess .05 Å away, plus what is left of the prior.
    distance = rmsd(x_begin, pair.x_data, mask)
    size = rmsd(prior(torch.randn_like(x_begin), mask, pair.batch.bonded), torch.zeros_like(x_begin), mask).mean()
    bound = 0.3 + 2 * (1 - pair.begin) * (size + rmsd(pair.x_data, torch.zeros_like(x_begin), mask))
    assert (distance[early] < bound[early]).all()
    last = draw_pair(ensembles, rows, prior, True, torch.Generator().manual_seed(0), WarmStarts(1.0, 0.9999, 0.9999))
    share = last.share[:, None, None]
    guess = ((last.x_t - share * last.x_data) / (1 - share).clamp(min=0.05))[warm & (last.share < 0.8)]
    assert (rmsd(guess, last.x_data[warm & (last.share < 0.8)], mask[warm & (last.share < 0.8)]) < 0.12).all()


def test_half_of_the_paths_can_be_warm(ensembles):
    rows = np.repeat(np.arange(2), 400)
    pair = draw_pair(ensembles, rows, build_prior("harmonic", 1.0), True, torch.Generator(), WarmStarts(0.5))
    assert 0.4 < (pair.begin > 0).float().mean() < 0.6


def test_sets_without_guesses_have_no_warm_paths(resident):
    rows = np.arange(len(resident))
    pair = draw_pair(resident, rows, build_prior("harmonic", 1.0), True, torch.Generator(), WarmStarts(1.0))
    assert not pair.begin.any()
