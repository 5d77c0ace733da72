import torch

from models.geometry.frames import build_frames, from_offsets, local_positions, to_offsets
from models.geometry.rigid import random_rotation


def tokens(points=4, count=7):
    return torch.randn(3, count, points, 3, dtype=torch.float64)


def turned(x):
    turn = random_rotation(torch.randn(len(x), 4, dtype=x.dtype))
    return torch.einsum("bij,bnkj->bnki", turn, x) + 3.0, turn


def test_frames_are_right_handed_and_orthonormal():
    frames = build_frames(tokens())
    eye = torch.eye(3, dtype=torch.float64).expand_as(frames)
    torch.testing.assert_close(frames @ frames.mT, eye, atol=1e-6, rtol=0)
    torch.testing.assert_close(torch.linalg.det(frames), torch.ones(3, 7, dtype=torch.float64))


def test_frames_turn_with_the_points():
    x = tokens()
    moved, turn = turned(x)
    torch.testing.assert_close(build_frames(moved), build_frames(x) @ turn.mT.unsqueeze(1))


def test_places_in_frames_ignore_rigid_motion_and_see_reflection():
    x = tokens()
    moved, _ = turned(x)
    places, after = (local_positions(build_frames(y), y[:, :, 1]) for y in (x, moved))
    torch.testing.assert_close(after, places)
    distance = (x[:, :, None, 1] - x[:, None, :, 1]).norm(dim=-1)
    torch.testing.assert_close(places.norm(dim=-1), distance, atol=1e-6, rtol=1e-5)
    mirrored = local_positions(build_frames(-x), -x[:, :, 1])
    torch.testing.assert_close(mirrored[..., :2], places[..., :2])
    torch.testing.assert_close(mirrored[..., 2], -places[..., 2])


def test_coinciding_points_give_finite_zeros():
    x = torch.zeros(1, 3, 4, 3)
    assert not local_positions(build_frames(x), x[:, :, 1]).any()


def test_offsets_come_back():
    x = tokens()
    y = to_offsets(x, 1)
    torch.testing.assert_close(y[:, :, 1], x[:, :, 1])
    torch.testing.assert_close(y[:, :, 3], x[:, :, 3] - x[:, :, 1])
    torch.testing.assert_close(from_offsets(y, 1), x)
