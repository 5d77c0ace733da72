import pytest
import torch

from models.data.batch import pad
from models.networks.preconditioning import PreconditionedDenoiser

TIMES = torch.tensor([0.0, 0.1, 0.5, 0.9, 0.99])


def scalings(module, batch, t):
    """c_skip and c_out, read off a fresh network (F = 0) and one whose output is 1 everywhere."""
    x = torch.ones(len(t), batch.tokens.shape[1], 3)
    skip = module(batch, x, t)
    torch.nn.init.ones_(module.network.read_out.bias)
    out = module(batch, x, t) - skip
    torch.nn.init.zeros_(module.network.read_out.bias)
    return skip[:, 0, 0], out[:, 0, 0]


@pytest.fixture
def batch(molecule_of):
    return pad([molecule_of("C").features] * len(TIMES))


def test_fresh_network_returns_the_scaled_input(tiny_config, batch):
    torch.manual_seed(0)
    module = PreconditionedDenoiser(tiny_config(noise_std_ang=1.2, data_std_ang=1.4)).requires_grad_(False)
    x = torch.randn(5, 5, 3, generator=torch.Generator().manual_seed(0))
    c_skip = TIMES * 1.4**2 / ((1 - TIMES) ** 2 * 1.2**2 + TIMES**2 * 1.4**2)
    torch.testing.assert_close(module(batch, x, TIMES), c_skip[:, None, None] * x)
    torch.testing.assert_close(module(batch, x, torch.ones(5)), x)


@pytest.mark.parametrize(("noise_std", "data_std"), [(1.2, 1.4), (3.0, 0.5)])
def test_targets_of_the_network_have_unit_variance(tiny_config, batch, noise_std, data_std):
    module = PreconditionedDenoiser(tiny_config(noise_std_ang=noise_std, data_std_ang=data_std)).requires_grad_(False)
    c_skip, c_out = scalings(module, batch, TIMES)
    # for independent noise and data: Var(x_data - c_skip x_t) = (1 - c_skip t)^2 s^2 + (c_skip (1 - t) a)^2
    variance = (1 - c_skip * TIMES).square() * data_std**2 + (c_skip * (1 - TIMES) * noise_std).square()
    torch.testing.assert_close(variance / c_out.square(), torch.ones(5), atol=1e-3, rtol=1e-3)


def test_input_of_the_network_has_unit_variance(tiny_config, batch):
    module = PreconditionedDenoiser(tiny_config(noise_std_ang=1.2, data_std_ang=1.4))
    seen = []
    module.network.forward = lambda batch, x, t, begin, guess, scale: seen.append(scale) or torch.zeros_like(x)
    module(batch, torch.zeros(5, 5, 3), TIMES)
    variance = (1 - TIMES).square() * 1.2**2 + TIMES.square() * 1.4**2
    torch.testing.assert_close(seen[0].flatten().square() * variance, torch.ones(5))


def test_skip_amplifies_errors_of_the_network_least(tiny_config, batch):
    module = PreconditionedDenoiser(tiny_config()).requires_grad_(False)
    c_skip, _ = scalings(module, batch, TIMES)
    a, s = module.config.noise_std_ang, module.config.data_std_ang

    def needed(skip):
        return (1 - skip * TIMES).square() * s**2 + (skip * (1 - TIMES) * a).square()

    for shift in (-0.05, 0.05):
        assert (needed(c_skip + shift) > needed(c_skip)).all()


def test_output_is_zero_where_padded(molecule_of, tiny_config, shaken):
    batch = pad([molecule_of("C").features], 8)
    out = shaken(tiny_config())(batch, torch.ones(1, 8, 3), torch.tensor([0.5]))
    assert not out[:, 5:].any()
    assert out[:, :5].all()


def test_half_precision_is_close_to_full(molecule_of, structure_of, tiny_config, shaken):
    molecule = molecule_of("C[C@H](N)C(=O)O")
    batch = pad([molecule.features] * 3)
    x = torch.from_numpy(structure_of(molecule)).float().expand(3, -1, -1)
    module, t = shaken(tiny_config(), size=0.05), torch.tensor([0.1, 0.5, 0.9])
    full, half = (module(batch, x, t, 0.5 * x, half=choice) for choice in (False, True))
    assert half.dtype == torch.float32
    assert not torch.equal(half, full)
    assert (half - full).abs().max() < 0.05


def test_gradient_reaches_every_weight(molecule_of, structure_of, tiny_config, shaken):
    molecule = molecule_of("C[C@H](N)C(=O)O")
    module = shaken(tiny_config()).requires_grad_(True)
    x = torch.from_numpy(structure_of(molecule)).float()[None]
    module(pad([molecule.features]), x, torch.tensor([0.4]), 0.9 * x).square().sum().backward()
    lost = [name for name, p in module.named_parameters() if p.grad is None or not p.grad.any()]
    assert lost == []
