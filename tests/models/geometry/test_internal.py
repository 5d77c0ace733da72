import math
from itertools import permutations

import pytest
import torch

from models.geometry.internal import angles, pair_distances, signed_volumes
from models.geometry.rigid import random_rotation, rotate

MIRROR = torch.tensor([1.0, 1.0, -1.0], dtype=torch.float64)


def move(x):
    return rotate(x, random_rotation(torch.randn(len(x), 4, dtype=x.dtype))) + 2.5


def test_pair_distances_match_cdist():
    x = torch.randn(3, 6, 3, dtype=torch.float64)
    torch.testing.assert_close(pair_distances(x), torch.cdist(x, x), rtol=1e-9, atol=2e-6)


def test_pair_distances_ignore_rigid_motion():
    x = torch.randn(3, 6, 3, dtype=torch.float64)
    torch.testing.assert_close(pair_distances(move(x)), pair_distances(x))


def test_pair_distances_have_a_finite_gradient_for_equal_points():
    x = torch.zeros(1, 3, 3, requires_grad=True)
    pair_distances(x).sum().backward()
    assert x.grad.isfinite().all()


def test_signed_volumes_of_the_unit_corner_is_one():
    corner = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]])
    volume, _ = signed_volumes(corner, torch.tensor([[[0, 1, 2, 3]]]))
    assert volume.item() == pytest.approx(1)


def test_signed_volumes_change_sign_with_odd_permutations():
    x = torch.randn(1, 4, 3, dtype=torch.float64)
    orders = torch.tensor(list(permutations(range(4))))
    parity = torch.linalg.det(torch.eye(4, dtype=torch.float64)[orders])
    volume, _ = signed_volumes(x, orders[None])
    torch.testing.assert_close(volume[0], parity * volume[0, 0])


def test_signed_volumes_change_sign_in_the_mirror_and_with_nothing_else():
    x, quadruples = torch.randn(2, 7, 3, dtype=torch.float64), torch.randint(7, (2, 5, 4))
    volume, _ = signed_volumes(x, quadruples)
    torch.testing.assert_close(signed_volumes(move(x), quadruples)[0], volume)
    torch.testing.assert_close(signed_volumes(x * MIRROR, quadruples)[0], -volume)


def test_signed_volumes_gradient_agrees_with_autograd():
    x = torch.randn(2, 7, 3, dtype=torch.float64, requires_grad=True)
    quadruples = torch.stack([torch.randperm(7)[:4] for _ in range(6)]).view(2, 3, 4)
    volume, gradient = signed_volumes(x, quadruples)
    for row in range(2):
        for column in range(3):
            (expected,) = torch.autograd.grad(volume[row, column], x, retain_graph=True)
            torch.testing.assert_close(gradient[row, column], expected[row, quadruples[row, column]])
    torch.testing.assert_close(gradient.sum(2), torch.zeros(2, 3, 3, dtype=x.dtype))  # shifting changes no volume


def test_signed_volumes_of_no_quadruples_is_empty():
    volume, gradient = signed_volumes(torch.randn(2, 5, 3), torch.zeros(2, 0, 4, dtype=torch.int64))
    assert volume.shape == (2, 0)
    assert gradient.shape == (2, 0, 4, 3)


def test_angles_of_known_shapes():
    half = math.radians(104.5) / 2
    water = [[math.sin(half), math.cos(half), 0.0], [0.0, 0.0, 0.0], [-math.sin(half), math.cos(half), 0.0]]
    rod = [[-1.0, -1.0, -1.0], [0.0, 0.0, 0.0], [2.0, 2.0, 2.0]]
    corner = [[3.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.1]]
    found = angles(torch.tensor([water, rod, corner], dtype=torch.float64), torch.tensor([[0, 1, 2]]))
    expected = torch.tensor([[math.radians(104.5)], [math.pi], [math.pi / 2]], dtype=torch.float64)
    torch.testing.assert_close(found, expected)


def test_angles_ignore_rigid_motion_and_sum_to_pi_in_a_triangle():
    x = torch.randn(5, 3, 3, dtype=torch.float64)
    corners = angles(x, torch.tensor([[0, 1, 2], [1, 2, 0], [2, 0, 1]]))
    torch.testing.assert_close(corners.sum(-1), torch.full((5,), math.pi, dtype=torch.float64))
    torch.testing.assert_close(angles(move(x), torch.tensor([[0, 1, 2]]))[:, 0], corners[:, 0])


def test_angles_have_a_finite_gradient_on_a_line():
    x = torch.tensor([[-1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]], requires_grad=True)
    angles(x, torch.tensor([[0, 1, 2], [1, 0, 2]])).sum().backward()
    assert x.grad.isfinite().all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_internal_functions_do_not_make_the_host_wait(forbid_sync):
    x, quadruples = torch.randn(1, 6, 3).cuda(), torch.tensor([[[0, 1, 2, 3]]]).cuda()
    for context in (torch.no_grad, forbid_sync):  # the first round may load libraries
        with context():
            pair_distances(x)
            signed_volumes(x, quadruples)
            angles(x, quadruples[0, :, :3])
