import math

import torch
from scipy.spatial.transform import Rotation
from scipy.stats import kstest

from models.geometry.rigid import quaternion_to_matrix, random_rotation, rotate


def test_quaternion_to_matrix_is_a_proper_rotation(device):
    matrix = quaternion_to_matrix(torch.randn(200, 4, dtype=torch.float64, device=device))
    eye = torch.eye(3, dtype=torch.float64, device=device).expand_as(matrix)
    torch.testing.assert_close(matrix @ matrix.mT, eye)
    torch.testing.assert_close(torch.linalg.det(matrix), torch.ones(200, dtype=torch.float64, device=device))


def test_quaternion_to_matrix_agrees_with_scipy():
    quaternion = torch.randn(50, 4, dtype=torch.float64)
    oracle = Rotation.from_quat(quaternion.numpy(), scalar_first=True).as_matrix()
    torch.testing.assert_close(quaternion_to_matrix(quaternion), torch.from_numpy(oracle))


def test_quaternion_to_matrix_ignores_length_and_sign():
    quaternion = torch.randn(20, 4, dtype=torch.float64)
    torch.testing.assert_close(quaternion_to_matrix(-3.7 * quaternion), quaternion_to_matrix(quaternion))


def test_quaternion_to_matrix_keeps_leading_axes():
    quaternion = torch.randn(2, 5, 4)
    torch.testing.assert_close(quaternion_to_matrix(quaternion)[1, 3], quaternion_to_matrix(quaternion[1, 3]))


def test_random_rotation_angle_is_uniform_over_the_group():
    rotation = random_rotation(torch.randn(4000, 4, dtype=torch.float64))
    cosine = (rotation.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
    angle = cosine.clamp(-1, 1).arccos().numpy()
    # Under the Haar measure the angle has the distribution (a - sin a) / pi, and the entries of R have variance 1/3.
    assert kstest(angle, lambda a: (a - torch.from_numpy(a).sin().numpy()) / math.pi).pvalue > 1e-3
    assert rotation.mean(0).abs().max() < 5 * (1 / 3 / 4000) ** 0.5
    torch.testing.assert_close(rotation.var(0), torch.full((3, 3), 1 / 3, dtype=torch.float64), atol=0.03, rtol=0)


def test_rotate_applies_the_matrix_to_each_point():
    x = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]]])
    quarter_turn = torch.tensor([[[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]])
    torch.testing.assert_close(rotate(x, quarter_turn), torch.tensor([[[0.0, 1.0, 0.0], [-2.0, 0.0, 0.0]]]))
    two = torch.cat((quarter_turn, torch.eye(3)[None]))
    torch.testing.assert_close(rotate(x.repeat(2, 1, 1), two)[1:], x)  # one rotation per item, not one for all


def test_rotate_composes():
    x = torch.randn(6, 5, 3, dtype=torch.float64)
    first, second = (random_rotation(torch.randn(6, 4, dtype=torch.float64)) for _ in range(2))
    torch.testing.assert_close(rotate(rotate(x, first), second), rotate(x, second @ first))
