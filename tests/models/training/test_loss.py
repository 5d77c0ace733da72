import pytest
import torch

from models.geometry.alignment import align
from models.geometry.quotient import centre, horizontal_projection
from models.geometry.rigid import random_rotation, rotate
from models.samplers.prior import ChainPrior
from models.training.loss import CHAIN_METRICS, LOSSES, chain_errors, contact_errors, denoising_loss, squared_errors

COUNTS = (4, 9, 6)


def pair(dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    mask = torch.arange(9) < torch.tensor(COUNTS)[:, None]
    x_t, x_data, guess = (
        centre(torch.randn(3, 9, 3, generator=generator, dtype=torch.float64), mask).to(dtype) for _ in range(3)
    )
    return x_t, guess, x_data, torch.tensor([0.1, 0.6, 0.95], dtype=dtype), mask


@pytest.mark.parametrize("kind", LOSSES)
def test_loss_is_zero_at_the_data_only(kind):
    x_t, guess, x_data, t, mask = pair()
    assert denoising_loss(x_t, x_data, x_data, t, mask, kind) < 1e-20
    assert denoising_loss(x_t, guess, x_data, t, mask, kind) > 0.1


def test_quotient_loss_is_blind_to_turning_and_shifting():
    x_t, guess, x_data, t, mask = pair()
    omega = torch.tensor([[0.3, -0.7, 0.5]], dtype=torch.float64).expand(3, 1, 3)
    spin = torch.linalg.cross(omega.expand_as(x_t), x_t) + torch.tensor([0.4, 0.1, -0.9], dtype=torch.float64)
    spin = spin * mask.unsqueeze(-1)
    assert denoising_loss(x_t, x_data + spin, x_data, t, mask, "quotient") < 1e-20
    assert denoising_loss(x_t, x_data + spin, x_data, t, mask, "plain") > 0.1
    before, after = (denoising_loss(x_t, g, x_data, t, mask, "quotient") for g in (guess, guess + spin))
    torch.testing.assert_close(after, before)


def test_quotient_loss_sees_every_change_of_shape():
    x_t, guess, x_data, t, mask = pair()
    error = horizontal_projection(x_t, guess - x_data, mask)
    values = [denoising_loss(x_t, x_data + error, x_data, t, mask, kind) for kind in ("quotient", "plain")]
    torch.testing.assert_close(*values)


@pytest.mark.parametrize("kind", LOSSES)
def test_loss_does_not_depend_on_the_frame(kind):
    x_t, guess, x_data, t, mask = pair()
    turn = random_rotation(torch.randn(3, 4, generator=torch.Generator().manual_seed(4), dtype=torch.float64))
    turned = denoising_loss(rotate(x_t, turn), rotate(guess, turn), rotate(x_data, turn), t, mask, kind)
    torch.testing.assert_close(turned, denoising_loss(x_t, guess, x_data, t, mask, kind))


def moved(x, mask, seed):
    """Each sample turned and shifted by its own rigid motion."""
    numbers = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (rotate(x, random_rotation(numbers[0])) + numbers[1, :, None, :3]) * mask.unsqueeze(-1)


def test_aligned_loss_is_blind_to_rigid_motions_of_target_and_guess():
    x_t, guess, x_data, t, mask = pair()
    expected = denoising_loss(x_t, guess, x_data, t, mask, "aligned")
    for other in (moved(x_data, mask, 1), moved(x_data, mask, 2)):
        torch.testing.assert_close(denoising_loss(x_t, guess, other, t, mask, "aligned"), expected)
        torch.testing.assert_close(denoising_loss(x_t, moved(guess, mask, 3), other, t, mask, "aligned"), expected)


def test_aligned_loss_of_an_aligned_pair_is_the_plain_one():
    x_t, guess, x_data, t, mask = pair()
    x_data = align(x_data, guess, mask)
    values = [denoising_loss(x_t, guess, x_data, t, mask, kind) for kind in ("aligned", "plain")]
    torch.testing.assert_close(*values)


def test_aligned_loss_is_never_above_the_plain_one():
    x_t, guess, x_data, _, mask = pair()
    aligned, plain = (squared_errors(x_t, guess, x_data, mask, kind) for kind in ("aligned", "plain"))
    assert (aligned < plain).all()


def test_aligned_target_carries_no_gradient():
    x_t, guess, x_data, t, mask = pair()
    gradients = []
    for kind, target in (("aligned", x_data), ("plain", align(x_data, guess, mask))):
        leaf = guess.clone().requires_grad_(True)
        denoising_loss(x_t, leaf, target, t, mask, kind).backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("kind", LOSSES)
def test_loss_is_the_mean_of_the_molecules(kind):
    x_t, guess, x_data, t, mask = pair()
    parts = squared_errors(x_t, guess, x_data, mask, kind)
    assert parts.shape == (3,)
    whole = denoising_loss(x_t, guess, x_data, torch.zeros_like(t), mask, kind)
    torch.testing.assert_close(parts.sum() / (3 * sum(COUNTS)), whole)


def test_weight_grows_towards_the_data_and_then_stops():
    x_t, guess, x_data, _, mask = pair()

    def at(t):
        return denoising_loss(x_t, guess, x_data, torch.full((3,), t, dtype=torch.float64), mask, "plain")

    base = at(0.0)
    for t, weight in ((0.5, 4.0), (0.75, 16.0), (0.9, 100.0), (0.95, 100.0), (1.0, 100.0)):
        torch.testing.assert_close(at(t) / base, torch.tensor(weight, dtype=torch.float64))


def test_plain_loss_is_the_mean_over_real_coordinates():
    x_t, _, x_data, _, mask = pair()
    assert denoising_loss(x_t, x_data + 2.0, x_data, torch.zeros(3, dtype=torch.float64), mask, "plain") == 4.0


@pytest.mark.parametrize("kind", LOSSES)
def test_gradient_is_finite_and_zero_where_padded(kind):
    x_t, guess, x_data, t, mask = pair(torch.float32)
    guess = (guess + 5 * ~mask.unsqueeze(-1)).requires_grad_(True)
    denoising_loss(x_t, guess, x_data, t, mask, kind).backward()
    assert guess.grad.isfinite().all()
    assert not guess.grad[~mask].any()
    assert guess.grad[mask].abs().sum() > 0


def backbones(counts, size):
    mask = torch.arange(4 * size) < 4 * torch.tensor(counts)[:, None]
    x = [centre(torch.randn(len(counts), 4 * size, 3, dtype=torch.float64), mask) for _ in range(3)]
    return *x, mask


@pytest.mark.parametrize("metric", CHAIN_METRICS)
@pytest.mark.parametrize("kind", LOSSES)
def test_metric_of_chains_is_zero_at_the_data_only(kind, metric):
    x_t, guess, x_data, mask = backbones((9, 40), 40)
    t = torch.tensor([0.2, 0.8], dtype=torch.float64)
    assert denoising_loss(x_t, x_data, x_data, t, mask, kind, metric) < 1e-20
    assert denoising_loss(x_t, guess, x_data, t, mask, kind, metric) > 0.1


def test_chain_metric_is_blind_to_padding_and_batch_mates():
    _, guess, x_data, mask = backbones((9, 40), 40)
    both = chain_errors(guess - x_data, mask)
    torch.testing.assert_close(both[:1], chain_errors((guess - x_data)[:1, :36], mask[:1, :36]))


def test_chain_metric_counts_an_error_at_the_scale_where_it_is():
    # The same size of error costs more in one peptide bond than as a slow bend of the whole chain.
    *_, mask = backbones((64,), 64)
    bend = torch.linspace(-1, 1, 64, dtype=torch.float64).repeat_interleave(4)[None, :, None].expand(1, -1, 3)
    kinks = bend * (-1.0) ** torch.arange(64).repeat_interleave(4)[None, :, None]
    slow, fast = (chain_errors(error, mask).item() for error in (bend, kinks))
    assert fast > 10 * slow


def test_chain_metric_of_a_chain_that_is_off_by_its_own_spread_is_about_one():
    # Noise and data of the same spread: what a network that knows nothing is off by.
    mask = torch.ones(200, 400, dtype=torch.bool)
    error = ChainPrior(1.05)(torch.randn(200, 400, 3), mask)
    assert 0.7 < (chain_errors(error, mask).mean() / 400).item() < 2.0


def hairpin(apart):
    """Two straight strands of 12 residues side by side.  [1, 96, 3]"""
    step = torch.arange(12, dtype=torch.float64) * 3.3
    there = torch.stack((step, 0 * step, 0 * step), -1)
    back = torch.stack((step.flip(0), 0 * step + apart, 0 * step), -1)
    return torch.cat((there, back)).repeat_interleave(4, 0)[None]


def test_contacts_count_a_strand_that_slips_if_it_is_near():
    mask, t = torch.ones(1, 96, dtype=torch.bool), torch.tensor([0.95], dtype=torch.float64)
    slip = torch.zeros(1, 96, 3, dtype=torch.float64)
    slip[:, 48:, 0] = 2.0
    near, far = (contact_errors(slip, hairpin(apart), t, mask).item() for apart in (4.8, 48.0))
    assert near > 0.1 * 96 > 1e3 * far
    assert contact_errors(slip, hairpin(4.8), t, mask) > 0.5 * chain_errors(slip, mask)


def test_contacts_are_blind_to_padding_turns_and_batch_mates():
    x_t, guess, x_data, mask = backbones((9, 40), 40)
    t, error = torch.tensor([0.9, 0.5], dtype=torch.float64), guess - x_data
    both = contact_errors(error, 5 * x_t, t, mask)
    torch.testing.assert_close(both[:1], contact_errors(error[:1, :36], 5 * x_t[:1, :36], t[:1], mask[:1, :36]))
    turn = random_rotation(torch.randn(4, dtype=torch.float64))
    torch.testing.assert_close(contact_errors(error @ turn, 5 * x_t @ turn, t, mask), both)


def test_contacts_weigh_errors_by_what_is_seen_and_not_by_the_truth():
    # Else the minimum would not be the mean of the data.
    x_t, guess, x_data, mask = backbones((24,), 24)
    t = torch.tensor([0.9], dtype=torch.float64)
    shift = torch.randn(1, 96, 3, dtype=torch.float64)
    here, there = (contact_errors(guess + s - (x_data + s), x_t, t, mask) for s in (0, shift))
    torch.testing.assert_close(here, there)
