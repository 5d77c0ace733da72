import numpy as np
import pytest
import torch

from models.geometry.quotient import (
    angular_momentum,
    centre,
    curvature_drift,
    horizontal_projection,
    inertia,
    inverse_inertia,
    second_moment,
    vertical_projection,
)
from models.geometry.rigid import random_rotation, rotate

both_precisions = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def alone(points):
    """One point set as a batch.  [N, 3] -> [1, N, 3], [1, N]"""
    return points[None], torch.ones(1, len(points), dtype=torch.bool, device=points.device)


def explicit_matrix(points):
    """The horizontal projection at `points` as a matrix, column by column.  [N, 3] -> [3N, 3N]"""
    size = points.numel()
    basis = torch.eye(size, dtype=points.dtype).view(size, -1, 3)
    mask = torch.ones(size, len(points), dtype=torch.bool)
    return horizontal_projection(points.expand_as(basis), basis, mask).view(size, size).T


def oracle_matrix(points):
    """The same matrix from an SVD of the translations and rotations."""
    rotations = [torch.linalg.cross(axis.expand_as(points), points) for axis in torch.eye(3, dtype=points.dtype)]
    moves = [axis.expand_as(points) for axis in torch.eye(3, dtype=points.dtype)]
    vectors, sizes, _ = torch.linalg.svd(torch.stack(rotations + moves).flatten(1).T, full_matrices=False)
    vectors = vectors[:, sizes > 1e-9]
    return torch.eye(points.numel(), dtype=points.dtype) - vectors @ vectors.T


def test_centre_removes_the_mean_of_real_points(clouds):
    x, mask = clouds
    moved = centre(x + 3.0, mask)
    torch.testing.assert_close(moved, x)
    assert (moved[~mask] == 0).all()


def test_inertia_matches_the_definition(clouds):
    x, mask = clouds
    points = x[2, :7]
    expected = sum(p.dot(p) * torch.eye(3, dtype=p.dtype) - torch.outer(p, p) for p in points)
    torch.testing.assert_close(inertia(x, mask)[2], expected)
    torch.testing.assert_close(second_moment(x, mask)[2], sum(torch.outer(p, p) for p in points))


def test_inverse_inertia_is_the_pseudo_inverse(clouds, rod):
    x, mask = clouds
    torch.testing.assert_close(inverse_inertia(x, mask), torch.linalg.pinv(inertia(x, mask)))
    x, mask = alone(rod)
    torch.testing.assert_close(inverse_inertia(x, mask), torch.linalg.pinv(inertia(x, mask), rtol=1e-9))


def test_horizontal_projection_is_idempotent(clouds, device):
    x, mask = (part.to(device) for part in clouds)
    once = horizontal_projection(x, torch.randn_like(x), mask)
    torch.testing.assert_close(horizontal_projection(x, once, mask), once)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 8])
def test_horizontal_projection_is_an_orthogonal_projection(count):
    points = torch.randn(count, 3, dtype=torch.float64)
    points = points - points.mean(0)
    matrix = explicit_matrix(points)
    torch.testing.assert_close(matrix, matrix.T)
    torch.testing.assert_close(matrix @ matrix, matrix)
    shapes = {1: 0, 2: 1}.get(count, 3 * count - 6)  # dimension of shape space
    assert matrix.trace().item() == pytest.approx(shapes, abs=1e-9)
    torch.testing.assert_close(matrix, oracle_matrix(points))


def test_horizontal_projection_has_no_momentum(clouds, device):
    x, mask = (part.to(device) for part in clouds)
    kept = horizontal_projection(x, torch.randn_like(x), mask)
    zero = torch.zeros(4, 3, dtype=x.dtype, device=device)
    torch.testing.assert_close(kept.sum(1), zero)
    torch.testing.assert_close(angular_momentum(x, kept, mask), zero)


def test_angular_momentum_of_a_turning_ring():
    x, mask = alone(torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]))
    spin = torch.tensor([0.0, 0.0, 0.5])
    v = torch.linalg.cross(spin.expand_as(x), x)
    torch.testing.assert_close(angular_momentum(x, v, mask), 4 * spin[None])


def test_horizontal_projection_keeps_scaling(clouds):
    x, mask = clouds
    torch.testing.assert_close(horizontal_projection(x, x, mask), x)


def test_horizontal_projection_is_equivariant(clouds):
    x, mask = clouds
    v = torch.randn_like(x)
    rotation = random_rotation(torch.randn(4, 4, dtype=x.dtype))
    turned = horizontal_projection(rotate(x, rotation), rotate(v, rotation), mask)
    torch.testing.assert_close(turned, rotate(horizontal_projection(x, v, mask), rotation))


def test_horizontal_projection_removes_rigid_motion(clouds):
    x, mask = clouds
    spin, shift = torch.randn(2, 4, 1, 3, dtype=x.dtype)
    turning = torch.linalg.cross(spin.expand_as(x), x)
    torch.testing.assert_close(horizontal_projection(x, turning + shift, mask), torch.zeros_like(x))
    torch.testing.assert_close(vertical_projection(x, turning, mask), turning * mask[..., None])


def test_curvature_drift_along_the_radius_is_three(clouds, device):
    x, mask = (part.to(device) for part in clouds)
    along = (x * curvature_drift(x, mask)).sum((1, 2))
    torch.testing.assert_close(along, torch.full_like(along, 3))


def test_curvature_drift_is_half_the_gradient_of_log_det_inertia(clouds):
    x, mask = clouds
    x = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(0.5 * inertia(x, mask).logdet().sum(), x)
    torch.testing.assert_close(curvature_drift(x, mask), gradient)


def test_curvature_drift_is_half_the_finite_difference_of_log_det_inertia(clouds):
    x, mask = clouds
    direction = torch.randn_like(x)
    step = 1e-5
    ahead, behind = (inertia(x + sign * step * direction, mask).logdet() for sign in (1, -1))
    slope = (curvature_drift(x, mask) * direction).sum((1, 2))
    torch.testing.assert_close(slope, 0.5 * (ahead - behind) / (2 * step), rtol=1e-7, atol=1e-7)


def test_curvature_drift_is_horizontal(clouds):
    x, mask = clouds
    drift = curvature_drift(x, mask)
    torch.testing.assert_close(horizontal_projection(x, drift, mask), drift)


def test_curvature_drift_is_equivariant(clouds):
    x, mask = clouds
    rotation = random_rotation(torch.randn(4, 4, dtype=x.dtype))
    turned = curvature_drift(rotate(x, rotation), mask)
    torch.testing.assert_close(turned, rotate(curvature_drift(x, mask), rotation))


@both_precisions
def test_one_atom_has_no_shape(dtype, device):
    x, mask = alone(torch.zeros(1, 3, dtype=dtype, device=device))
    v = torch.randn_like(x)
    for result in (horizontal_projection(x, v, mask), vertical_projection(x, v, mask), curvature_drift(x, mask)):
        assert torch.equal(result, torch.zeros_like(x))


@both_precisions
def test_two_atoms_only_stretch(dtype, device):
    points = torch.tensor([[0.3, -0.4, 1.2], [-0.3, 0.4, -1.2]], dtype=dtype, device=device)
    x, mask = alone(points)
    v = torch.randn_like(x)
    axis = points[0] / points[0].norm()
    stretch = (0.5 * (v[0, 0] - v[0, 1])).dot(axis) * axis
    torch.testing.assert_close(horizontal_projection(x, v, mask)[0], torch.stack((stretch, -stretch)))


@both_precisions
def test_rod_loses_both_of_its_rotations(rod, dtype):
    assert oracle_matrix(rod).trace().item() == pytest.approx(3 * len(rod) - 5)
    torch.testing.assert_close(explicit_matrix(rod.to(dtype)), oracle_matrix(rod).to(dtype), rtol=1e-5, atol=3e-6)


@both_precisions
def test_rod_curvature_drift_along_the_radius_is_two(rod, dtype):
    x, mask = alone(rod.to(dtype))
    drift = curvature_drift(x, mask)
    torch.testing.assert_close(drift, 2 * x / x.square().sum())
    assert (x * drift).sum().item() == pytest.approx(2, rel=1e-5)


def test_rod_is_recognised_in_any_direction_in_float32(rod):
    # Rounding makes the smallest moment of a turned rod 1e-7 of the largest instead of 0; the cut must be above that.
    rotation = random_rotation(torch.randn(1000, 4, dtype=torch.float64))
    x = (rotate(rod.expand(1000, -1, -1), rotation) + 5.0).float()
    mask = torch.ones(x.shape[:2], dtype=torch.bool)
    x = centre(x, mask)
    along = (x * curvature_drift(x, mask)).sum((1, 2))
    torch.testing.assert_close(along, torch.full_like(along, 2), rtol=1e-4, atol=0)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_collinearity_does_not_depend_on_scale(rod, scale):
    bent = rod.clone()
    bent[0] += torch.tensor([0.1, 0.1, 0.0], dtype=rod.dtype)
    for points, dimension in ((rod, 2), (bent - bent.mean(0), 2 if len(rod) == 2 else 3)):
        x, mask = alone((scale * points).float())
        assert (x * curvature_drift(x, mask)).sum().item() == pytest.approx(dimension, rel=1e-3)


@both_precisions
def test_padding_changes_nothing(clouds, pad, dtype):
    x, mask = clouds
    sets = [points[real].to(dtype) for points, real in zip(x, mask, strict=True)]
    pushes = [torch.randn_like(points) for points in sets]
    wide, mask = pad(sets, fill=77.0, size=15)
    push, _ = pad(pushes, fill=-55.0, size=15)
    results = {
        "horizontal": horizontal_projection(wide, push, mask),
        "vertical": vertical_projection(wide, push, mask),
        "drift": curvature_drift(wide, mask),
        "centred": centre(wide, mask),
    }
    momentum, inverse = angular_momentum(wide, push, mask), inverse_inertia(wide, mask)
    for row, (points, v) in enumerate(zip(sets, pushes, strict=True)):
        one, real = alone(points)
        expected = {
            "horizontal": horizontal_projection(one, v[None], real),
            "vertical": vertical_projection(one, v[None], real),
            "drift": curvature_drift(one, real),
            "centred": centre(one, real),
        }
        for name, result in results.items():
            torch.testing.assert_close(result[row, : len(points)], expected[name][0], msg=f"{name} {row}")
            assert (result[row, len(points) :] == 0).all(), name
        torch.testing.assert_close(momentum[row], angular_momentum(one, v[None], real)[0])
        torch.testing.assert_close(inverse[row], inverse_inertia(one, real)[0])


def test_row_without_points_gives_zeros():
    x, v = torch.randn(2, 1, 4, 3)
    mask = torch.zeros(1, 4, dtype=torch.bool)
    for result in (centre(x, mask), horizontal_projection(x, v, mask), curvature_drift(x, mask)):
        assert torch.equal(result, torch.zeros_like(x))


def test_gradients_are_right():
    x, v = torch.randn(2, 2, 5, 3, dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[True] * 5, [True] * 4 + [False]])
    assert torch.autograd.gradcheck(lambda x, v: horizontal_projection(centre(x, mask), v, mask), (x, v))
    assert torch.autograd.gradcheck(lambda x: curvature_drift(centre(x, mask), mask), x)


@both_precisions
def test_gradients_are_finite_for_degenerate_points(rod, pad, dtype):
    sets = [rod, torch.zeros(1, 3, dtype=torch.float64), torch.zeros(3, 3, dtype=torch.float64)]
    x, mask = pad([points.to(dtype) for points in sets])
    x.requires_grad_()
    v = torch.randn_like(x).requires_grad_()
    total = horizontal_projection(x, v, mask).square().sum() + curvature_drift(x, mask).square().sum()
    for gradient in torch.autograd.grad(total, (x, v)):
        assert gradient.isfinite().all()


@pytest.mark.filterwarnings("ignore:BackendImporter.exec_module:ImportWarning")
def test_projection_agrees_with_geomstats(monkeypatch):
    monkeypatch.setenv("GEOMSTATS_BACKEND", "numpy")
    if not hasattr(np, "trapz"):  # geomstats 2.8 still imports the name that numpy 2.4 dropped
        monkeypatch.setattr(np, "trapz", np.trapezoid, raising=False)
    from geomstats.geometry.pre_shape import PreShapeSpace

    space = PreShapeSpace(k_landmarks=6, ambient_dim=3)
    space.equip_with_group_action("rotations")
    space.equip_with_quotient()
    x = centre(torch.randn(20, 6, 3, dtype=torch.float64), torch.ones(20, 6, dtype=torch.bool))
    x = x / x.norm(dim=(1, 2), keepdim=True)  # pre-shapes have unit size
    mask = torch.ones(20, 6, dtype=torch.bool)
    v = space.to_tangent(np.asarray(torch.randn_like(x)), np.asarray(x))
    vertical, horizontal = (
        torch.from_numpy(part(v, x.numpy()))
        for part in (space.fiber_bundle.vertical_projection, space.fiber_bundle.horizontal_projection)
    )
    torch.testing.assert_close(vertical_projection(x, torch.from_numpy(v), mask), vertical)
    torch.testing.assert_close(horizontal_projection(x, torch.from_numpy(v), mask), horizontal)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize(
    "function",
    [
        centre,
        inertia,
        inverse_inertia,
        curvature_drift,
        lambda x, mask: vertical_projection(x, x.flip(1), mask),
        lambda x, mask: horizontal_projection(x, x.flip(1), mask),
        lambda x, mask: angular_momentum(x, x.flip(1), mask),
    ],
)
def test_quotient_functions_do_not_make_the_host_wait(function, clouds, forbid_sync):
    x, mask = (part.cuda() for part in clouds)
    function(x, mask)  # the first call may load libraries
    with forbid_sync():
        function(x, mask)


def test_curvature_of_white_noise_is_that_of_its_covariance(clouds):
    x, mask = clouds
    torch.testing.assert_close(curvature_drift(x, mask, centre(x, mask)), curvature_drift(x, mask))
    torch.testing.assert_close(curvature_drift(x, mask, 4.0 * x), 4.0 * curvature_drift(x, mask))


def test_curvature_of_a_covariance_makes_up_for_the_projection():
    # (Sigma - P Sigma P) : hessian f = c . grad f for every function f of the internal distances
    count = 5
    root = torch.randn(count, count, dtype=torch.float64)
    middle = torch.eye(count, dtype=torch.float64) - 1 / count
    sigma = middle @ (root @ root.T) @ middle
    x = centre(torch.randn(1, count, 3, dtype=torch.float64), torch.ones(1, count, dtype=torch.bool))
    mask = torch.ones(1, count, dtype=torch.bool)
    weight = torch.randn(count, count, dtype=torch.float64)

    def shape_function(flat):
        points = flat.view(count, 3)
        square = (points[:, None] - points).square().sum(-1)
        return (weight * (1 + square).log()).sum()

    flat = x.flatten()
    hessian = torch.autograd.functional.hessian(shape_function, flat)
    gradient = torch.autograd.functional.jacobian(shape_function, flat)
    projector = explicit_matrix(x[0])
    full = torch.kron(sigma, torch.eye(3, dtype=torch.float64))
    lost = ((full - projector @ full @ projector) * hessian).sum()
    drift = curvature_drift(x, mask, sigma @ x)
    torch.testing.assert_close((drift.flatten() * gradient).sum(), lost)
    white = (curvature_drift(x, mask).flatten() * gradient).sum() * sigma.trace() / (count - 1)
    assert abs(white - lost) > 0.05 * abs(lost)  # else the law would say nothing
