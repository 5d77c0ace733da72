import pytest
import torch

from models.errors import SamplerError
from models.geometry.rigid import random_rotation, rotate
from models.samplers.prior import PRIORS, build_prior, gaussian_prior, harmonic_prior

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
    x = harmonic_prior(torch.randn(20000, 2, 3), mask.expand(20000, -1), graph.expand(20000, -1, -1), 0.9)
    # 3 * 20000 numbers: the standard error of their std is 0.29 %.
    assert (x[:, 0] - x[:, 1]).std().item() == pytest.approx(0.9, rel=0.015)


def test_gaussian_prior_covariance_is_the_centring_matrix():
    graph, mask = bonds("chain", size=7)
    matrix = linear_map(build_prior("gaussian", 2.0), graph, mask)
    expected = torch.zeros(7, 7, dtype=torch.float64)
    expected[:5, :5] = 4.0 * (torch.eye(5) - 0.2)
    torch.testing.assert_close(matrix @ matrix.T, expected)


@pytest.mark.parametrize("kind", PRIORS)
def test_prior_commutes_with_rotation(kind):
    graph, mask = bonds("ring with a tail")
    noise, rotation = torch.randn(1, 6, 3, dtype=torch.float64), random_rotation(torch.randn(1, 4, dtype=torch.float64))
    prior = build_prior(kind, 0.7)
    turned = prior(rotate(noise, rotation), mask[None], graph[None])
    torch.testing.assert_close(turned, rotate(prior(noise, mask[None], graph[None]), rotation))


@pytest.mark.parametrize("kind", PRIORS)
def test_prior_is_centred_and_zero_where_padded(kind):
    prior = build_prior(kind, 1.0)
    for name in GRAPHS:
        graph, mask = bonds(name, size=8)
        x = prior(torch.randn(1, 8, 3), mask[None], graph[None])
        torch.testing.assert_close(x.sum(1), torch.zeros(1, 3), atol=1e-5, rtol=0)
        assert (x[0, ~mask] == 0).all()
        assert x.isfinite().all()


@pytest.mark.parametrize("kind", PRIORS)
def test_prior_does_not_depend_on_padding_or_batch_mates(kind):
    prior = build_prior(kind, 1.0)
    rows = [bonds(name, size=9) for name in GRAPHS]
    noise = torch.randn(len(rows), 9, 3, dtype=torch.float64)
    together = prior(noise, torch.stack([mask for _, mask in rows]), torch.stack([graph for graph, _ in rows]))
    for row, name in enumerate(GRAPHS):
        graph, mask = bonds(name)
        count = len(mask)
        single = prior(noise[row : row + 1, :count], mask[None], graph[None])[0]
        torch.testing.assert_close(together[row, :count], single)


def test_one_atom_starts_at_the_origin():
    graph, mask = bonds("one atom")
    noise = torch.randn(1, 1, 3)
    assert torch.equal(harmonic_prior(noise, mask[None], graph[None], 1.0), torch.zeros(1, 1, 3))
    assert torch.equal(gaussian_prior(noise, mask[None], 1.0), torch.zeros(1, 1, 3))


def test_build_prior_names_what_is_allowed():
    with pytest.raises(SamplerError, match=r"'normal'.*gaussian, harmonic"):
        build_prior("normal", 1.0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("kind", PRIORS)
def test_prior_does_not_make_the_host_wait(kind, forbid_sync):
    graph, mask = (part[None].cuda() for part in bonds("chain"))
    noise, prior = torch.randn(1, 5, 3).cuda(), build_prior(kind, 1.0)
    prior(noise, mask, graph)  # the first call may load libraries
    with forbid_sync():
        prior(noise, mask, graph)
