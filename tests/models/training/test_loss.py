import pytest
import torch

from models.geometry.quotient import centre, horizontal_projection
from models.geometry.rigid import random_rotation, rotate
from models.training.loss import denoising_loss

COUNTS = (4, 9, 6)


def pair(dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    mask = torch.arange(9) < torch.tensor(COUNTS)[:, None]
    x_t, x_data, guess = (
        centre(torch.randn(3, 9, 3, generator=generator, dtype=torch.float64), mask).to(dtype) for _ in range(3)
    )
    return x_t, guess, x_data, torch.tensor([0.1, 0.6, 0.95], dtype=dtype), mask


@pytest.mark.parametrize("quotient", [True, False])
def test_loss_is_zero_at_the_data_only(quotient):
    x_t, guess, x_data, t, mask = pair()
    assert denoising_loss(x_t, x_data, x_data, t, mask, quotient) == 0
    assert denoising_loss(x_t, guess, x_data, t, mask, quotient) > 0.1


def test_quotient_loss_is_blind_to_turning_and_shifting():
    x_t, guess, x_data, t, mask = pair()
    omega = torch.tensor([[0.3, -0.7, 0.5]], dtype=torch.float64).expand(3, 1, 3)
    spin = torch.linalg.cross(omega.expand_as(x_t), x_t) + torch.tensor([0.4, 0.1, -0.9], dtype=torch.float64)
    spin = spin * mask.unsqueeze(-1)
    assert denoising_loss(x_t, x_data + spin, x_data, t, mask, True) < 1e-20
    assert denoising_loss(x_t, x_data + spin, x_data, t, mask, False) > 0.1
    before, after = (denoising_loss(x_t, g, x_data, t, mask, True) for g in (guess, guess + spin))
    torch.testing.assert_close(after, before)


def test_quotient_loss_sees_every_change_of_shape():
    x_t, guess, x_data, t, mask = pair()
    error = horizontal_projection(x_t, guess - x_data, mask)
    values = [denoising_loss(x_t, x_data + error, x_data, t, mask, quotient) for quotient in (True, False)]
    torch.testing.assert_close(*values)


@pytest.mark.parametrize("quotient", [True, False])
def test_loss_does_not_depend_on_the_frame(quotient):
    x_t, guess, x_data, t, mask = pair()
    turn = random_rotation(torch.randn(3, 4, generator=torch.Generator().manual_seed(4), dtype=torch.float64))
    turned = denoising_loss(rotate(x_t, turn), rotate(guess, turn), rotate(x_data, turn), t, mask, quotient)
    torch.testing.assert_close(turned, denoising_loss(x_t, guess, x_data, t, mask, quotient))


def test_weight_grows_towards_the_data_and_then_stops():
    x_t, guess, x_data, _, mask = pair()

    def at(t):
        return denoising_loss(x_t, guess, x_data, torch.full((3,), t, dtype=torch.float64), mask, False)

    base = at(0.0)
    for t, weight in ((0.5, 4.0), (0.75, 16.0), (0.9, 100.0), (0.95, 100.0), (1.0, 100.0)):
        torch.testing.assert_close(at(t) / base, torch.tensor(weight, dtype=torch.float64))


def test_plain_loss_is_the_mean_over_real_coordinates():
    x_t, _, x_data, _, mask = pair()
    assert denoising_loss(x_t, x_data + 2.0, x_data, torch.zeros(3, dtype=torch.float64), mask, False) == 4.0


@pytest.mark.parametrize("quotient", [True, False])
def test_gradient_is_finite_and_zero_where_padded(quotient):
    x_t, guess, x_data, t, mask = pair(torch.float32)
    guess = (guess + 5 * ~mask.unsqueeze(-1)).requires_grad_(True)
    denoising_loss(x_t, guess, x_data, t, mask, quotient).backward()
    assert guess.grad.isfinite().all()
    assert not guess.grad[~mask].any()
    assert guess.grad[mask].abs().sum() > 0
