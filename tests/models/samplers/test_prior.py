import pytest
import torch

from models.errors import SamplerError
from models.geometry.rigid import random_rotation, rotate
from models.samplers.prior import PRIORS, ChainPrior, GaussianPrior, HarmonicPrior, build_prior

GRAPHS = {
    "one atom": (1, []),
    "two atoms": (2, [(0, 1)]),
    "chain": (5, [(0, 1), (1, 2), (2, 3), (3, 4)]),
    "star": (5, [(0, 1), (0, 2), (0, 3), (0, 4)]),
    "ring with a tail": (6, [(0, 1), (1, 2), (2, 3), (3, 0), (3, 4), (4, 5)]),
}


def bonds(name, size=0):
    count, pairs = GRAPHS[name]
    graph = torch.zeros(max(size, count), max(size, count), dtype=torch.bool)
    for a, b in pairs:
        graph[a, b] = graph[b, a] = True
    mask = torch.arange(len(graph)) < count
    return graph, mask


def linear_map(prior, graph, mask):
    """The matrix that a prior applies to the white noise of each coordinate, from its action on a basis."""
    count = len(mask)
    basis = torch.eye(count, dtype=torch.float64)[:, :, None].expand(-1, -1, 3)
    columns = prior(basis, mask.expand(count, -1), graph.expand(count, -1, -1))
    torch.testing.assert_close(columns, columns[..., :1].expand_as(columns))  # each coordinate is treated alike
    return columns[..., 0].T


@pytest.mark.parametrize("name", GRAPHS)
def test_harmonic_prior_covariance_is_the_pseudo_inverse_of_the_laplacian(name):
    graph, mask = bonds(name)
    matrix = linear_map(build_prior("harmonic", 1.3), graph, mask)
    edges = graph.double()
    laplacian = edges.sum(1).diag() - edges
    torch.testing.assert_close(matrix @ matrix.T, 1.3**2 * torch.linalg.pinv(laplacian, rtol=1e-10))


def test_harmonic_prior_of_a_bond_has_the_given_std():
    graph, mask = bonds("two atoms")
    x = HarmonicPrior(0.9)(torch.randn(20000, 2, 3), mask.expand(20000, -1), graph.expand(20000, -1, -1))
    # 3 * 20000 numbers: the standard error of their std is 0.29 %.
    assert (x[:, 0] - x[:, 1]).std().item() == pytest.approx(0.9, rel=0.015)


def test_gaussian_prior_covariance_is_the_centring_matrix():
    graph, mask = bonds("chain", size=7)
    matrix = linear_map(build_prior("gaussian", 2.0), graph, mask)
    expected = torch.zeros(7, 7, dtype=torch.float64)
    expected[:5, :5] = 4.0 * (torch.eye(5) - 0.2)
    torch.testing.assert_close(matrix @ matrix.T, expected)


def chain_rows(*lengths, size=9):
    """Backbones of some lengths: no bond graph, a mask over four points for each residue."""
    return [(None, torch.arange(4 * size) < 4 * length) for length in lengths]


def rows_for(kind):
    return chain_rows(1, 2, 5, 9) if kind == "chain" else [bonds(name, size=9) for name in GRAPHS]


def call(prior, noise, graph, mask):
    return prior(noise, mask[None], None if graph is None else graph[None])


@pytest.mark.parametrize("kind", PRIORS)
def test_prior_commutes_with_rotation(kind):
    graph, mask = rows_for(kind)[-1]
    noise = torch.randn(1, len(mask), 3, dtype=torch.float64)
    rotation = random_rotation(torch.randn(1, 4, dtype=torch.float64))
    prior = build_prior(kind, 0.7)
    turned = call(prior, rotate(noise, rotation), graph, mask)
    torch.testing.assert_close(turned, rotate(call(prior, noise, graph, mask), rotation))


@pytest.mark.parametrize("kind", PRIORS)
def test_prior_is_centred_and_zero_where_padded(kind):
    prior = build_prior(kind, 1.0)
    for graph, mask in rows_for(kind):
        x = call(prior, torch.randn(1, len(mask), 3), graph, mask)
        torch.testing.assert_close(x.sum(1), torch.zeros(1, 3), atol=1e-4, rtol=0)
        assert (x[0, ~mask] == 0).all()
        assert x.isfinite().all()


@pytest.mark.parametrize("kind", PRIORS)
def test_prior_does_not_depend_on_padding_or_batch_mates(kind):
    prior, rows = build_prior(kind, 1.0), rows_for(kind)
    noise = torch.randn(len(rows), len(rows[0][1]), 3, dtype=torch.float64)
    graphs = None if kind == "chain" else torch.stack([graph for graph, _ in rows])
    together = prior(noise, torch.stack([mask for _, mask in rows]), graphs)
    for row, (graph, mask) in enumerate(rows):
        count = int(mask.sum())
        own = None if graph is None else graph[:count, :count]
        single = call(prior, noise[row : row + 1, :count], own, mask[:count])[0]
        torch.testing.assert_close(together[row, :count], single)


@pytest.mark.parametrize("kind", ["gaussian", "chain"])
def test_spread_is_the_covariance_of_what_is_drawn(kind):
    _, mask = chain_rows(5, size=7)[0]
    prior, count = build_prior(kind, 1.3), len(mask)
    basis = torch.eye(count, dtype=torch.float64)[:, :, None].expand(-1, -1, 3)
    drawn, spread = (f(basis, mask.expand(count, -1))[..., 0].T for f in (prior, prior.spread))
    torch.testing.assert_close(drawn @ drawn.T, spread)


@pytest.mark.parametrize("length", [40, 64, 100, 128, 256])
def test_chain_prior_has_steps_and_size_of_natural_chains(length):
    mask = torch.ones(1500, 4 * length, dtype=torch.bool)
    x = ChainPrior(1.05)(torch.randn(1500, 4 * length, 3), mask).view(1500, length, 4, 3)
    anchor = x[:, :, 1]
    steps = (anchor[:, 1:] - anchor[:, :-1]).square().sum(-1).mean().sqrt()
    size = (anchor - anchor.mean(1, keepdim=True)).square().sum(-1).mean().sqrt()
    assert steps.item() == pytest.approx(3.8, rel=0.01)
    assert size.item() == pytest.approx(2.642 * length**0.353, rel=0.04)  # four standard errors
    offsets = (x[:, :, [0, 2, 3]] - anchor.unsqueeze(2)).std()
    assert offsets.item() == pytest.approx(1.05, rel=0.01)


def test_harmonic_prior_asks_for_the_bonds():
    with pytest.raises(SamplerError, match="bond graph"):
        HarmonicPrior(1.0)(torch.randn(1, 2, 3), torch.ones(1, 2, dtype=torch.bool))


def test_one_atom_starts_at_the_origin():
    graph, mask = bonds("one atom")
    noise = torch.randn(1, 1, 3)
    assert torch.equal(HarmonicPrior(1.0)(noise, mask[None], graph[None]), torch.zeros(1, 1, 3))
    assert torch.equal(GaussianPrior(1.0)(noise, mask[None], graph[None]), torch.zeros(1, 1, 3))


def test_build_prior_names_what_is_allowed():
    with pytest.raises(SamplerError, match=r"'normal'.*gaussian, harmonic, chain"):
        build_prior("normal", 1.0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("kind", PRIORS)
def test_prior_does_not_make_the_host_wait(kind, forbid_sync):
    graph, mask = rows_for(kind)[-1]
    graph = None if graph is None else graph[None].cuda()
    noise, mask, prior = torch.randn(1, len(mask), 3).cuda(), mask[None].cuda(), build_prior(kind, 1.0)
    prior(noise, mask, graph)  # the first call may load libraries
    with forbid_sync():
        prior(noise, mask, graph)
