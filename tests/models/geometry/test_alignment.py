import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from models.geometry import alignment
from models.geometry.alignment import align, kabsch, rmsd
from models.geometry.quotient import angular_momentum, centre
from models.geometry.rigid import quaternion_to_matrix, random_rotation, rotate

both_precisions = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def overlap(mobile, target, rotation):
    return (rotate(mobile, rotation) * target).sum((1, 2))


def best_overlap(mobile, target):
    """Largest overlap of any rotation, from the singular values of the covariance."""
    left, sizes, right = torch.linalg.svd(mobile.mT @ target)
    sign = torch.linalg.det(left @ right).sign()
    return sizes[:, 0] + sizes[:, 1] + sign * sizes[:, 2]


@both_precisions
def test_kabsch_recovers_a_known_rotation(clouds, device, dtype):
    x, mask = clouds
    x, mask = x.to(device, dtype), mask.to(device)
    rotation = random_rotation(torch.randn(4, 4, dtype=dtype, device=device))
    torch.testing.assert_close(kabsch(x, rotate(x, rotation), mask), rotation, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("axis", [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.6, 0.0, 0.8]])
def test_kabsch_recovers_a_half_turn(clouds, axis):
    x, mask = clouds  # a half turn has a quaternion with w = 0, where many formulas break
    half_turn = quaternion_to_matrix(torch.tensor([0.0, *axis], dtype=x.dtype)).expand(4, 3, 3)
    torch.testing.assert_close(kabsch(x, rotate(x, half_turn), mask), half_turn)


def test_kabsch_leaves_equal_points_alone(clouds):
    x, mask = clouds
    torch.testing.assert_close(kabsch(x, x, mask), torch.eye(3, dtype=x.dtype).expand(4, 3, 3))


@both_precisions
@pytest.mark.parametrize("kind", ["random", "mirror image", "planar", "rod", "octahedron", "one point", "nothing"])
def test_kabsch_is_the_best_proper_rotation(kind, dtype):
    batch, mask = 300, torch.ones(300, 6, dtype=torch.bool)
    target = torch.randn(batch, 6, 3, dtype=torch.float64)
    if kind == "planar":
        target[..., 2] = 0
    elif kind == "rod":
        target[..., 1:] = 0
    elif kind == "octahedron":  # all three singular values are equal
        target = torch.cat((torch.eye(3), -torch.eye(3))).double().expand(batch, -1, -1)
    elif kind == "one point":
        target[:, 1:] = target[:, :1]
    elif kind == "nothing":
        target = torch.zeros_like(target)
    target = centre(target, mask)
    mobile = rotate(target, random_rotation(torch.randn(batch, 4, dtype=torch.float64)))
    if kind == "mirror image":
        mobile = -mobile
    elif kind == "random":
        mobile = centre(torch.randn_like(target), mask)
    rotation = kabsch(mobile.to(dtype), target.to(dtype), mask).double()
    one = torch.ones(batch, dtype=torch.float64)
    torch.testing.assert_close(torch.linalg.det(rotation), one, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(overlap(mobile, target, rotation), best_overlap(mobile, target), rtol=1e-5, atol=1e-5)


def test_kabsch_of_a_single_atom_is_a_rotation():
    zero, mask = torch.zeros(1, 1, 3), torch.ones(1, 1, dtype=torch.bool)
    torch.testing.assert_close(torch.linalg.det(kabsch(zero, zero, mask)), torch.ones(1))
    assert rmsd(zero + 1.0, zero, mask).item() == 0


def test_kabsch_agrees_with_scipy(clouds):
    x, mask = clouds
    y = centre(torch.randn_like(x), mask)
    found, distance = kabsch(x, y, mask), rmsd(x, y, mask)
    for row, real in enumerate(mask):
        oracle, root = Rotation.align_vectors(y[row, real].numpy(), x[row, real].numpy())
        torch.testing.assert_close(found[row], torch.from_numpy(oracle.as_matrix()))
        assert distance[row].item() == pytest.approx(root / np.sqrt(int(real.sum())))


def test_kabsch_works_at_any_scale(clouds):
    x, mask = clouds
    y = centre(torch.randn_like(x), mask)
    for scale in (1e-6, 1e6):
        torch.testing.assert_close(kabsch(scale * x, y, mask), kabsch(x, y, mask))


def test_align_meets_the_moved_copy(clouds):
    x, mask = clouds
    moved = rotate(x, random_rotation(torch.randn(4, 4, dtype=x.dtype))) + 7.0
    torch.testing.assert_close(align(x, moved, mask), centre(moved, mask))


def test_align_makes_the_straight_path_horizontal(clouds):
    # The optimum of the alignment is where sum x0 x x1 = 0, so the conditional velocity has no angular momentum.
    x1, mask = clouds
    x0 = align(torch.randn_like(x1), x1, mask)
    t = torch.tensor([0.0, 0.3, 0.7, 1.0], dtype=x1.dtype)[:, None, None]
    momentum = angular_momentum((1 - t) * x0 + t * x1, x1 - x0, mask)
    torch.testing.assert_close(momentum, torch.zeros_like(momentum))


def test_rmsd_ignores_rigid_motion_and_order_of_arguments(clouds):
    x, mask = clouds
    y = torch.randn_like(x)
    moved = rotate(x, random_rotation(torch.randn(4, 4, dtype=x.dtype))) - 2.0
    torch.testing.assert_close(rmsd(moved, y, mask), rmsd(x, y, mask))
    torch.testing.assert_close(rmsd(y, x, mask), rmsd(x, y, mask))


def test_rmsd_of_two_rods_is_half_the_difference_of_length():
    short, long = (torch.tensor([[[0.0, 0.0, 0.0], [length, 0.0, 0.0]]]) for length in (0.7, 1.5))
    assert rmsd(short, long.roll(1, dims=-1), torch.ones(1, 2, dtype=torch.bool)).item() == pytest.approx(0.4)


def test_rmsd_of_the_mirror_image_is_not_zero():
    x = centre(torch.randn(1, 6, 3), torch.ones(1, 6, dtype=torch.bool))
    assert rmsd(x * torch.tensor([1.0, 1.0, -1.0]), x, torch.ones(1, 6, dtype=torch.bool)).item() > 0.1


def test_padding_changes_nothing(clouds, pad):
    x, mask = clouds
    sets = [points[real] for points, real in zip(x, mask, strict=True)]
    others = [torch.randn_like(points) for points in sets]
    wide, real = pad(sets, fill=30.0, size=14)
    other, _ = pad(others, fill=-90.0, size=14)
    for row, (mobile, target) in enumerate(zip(sets, others, strict=True)):
        ones = torch.ones(1, len(mobile), dtype=torch.bool)
        torch.testing.assert_close(rmsd(wide, other, real)[row], rmsd(mobile[None], target[None], ones)[0])
        torch.testing.assert_close(kabsch(wide, other, real)[row], kabsch(mobile[None], target[None], ones)[0])


def test_kabsch_carries_no_gradient(clouds):
    x, mask = clouds
    assert not kabsch(x.clone().requires_grad_(), x.flip(1), mask).requires_grad


def test_rmsd_gradient_is_right_without_that_of_the_rotation():
    x, y = torch.randn(2, 1, 5, 3, dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[True] * 4 + [False]])
    assert torch.autograd.gradcheck(lambda x: rmsd(x, y.detach(), mask), x)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("function", [kabsch, align, rmsd])
def test_alignment_does_not_make_the_host_wait(function, clouds, forbid_sync):
    x, mask = (part.cuda() for part in clouds)
    function(x, x.flip(2), mask)  # the first call may load libraries
    with forbid_sync():
        function(x, x.flip(2), mask)


@both_precisions
def test_best_overlap_is_that_of_the_best_rotation(clouds, device, dtype):
    x, mask = clouds
    x, mask = x.to(device, dtype), mask.to(device)
    y = centre(torch.randn_like(x), mask)
    found = alignment.best_overlap((x.mT @ y).expand(2, -1, -1, -1))  # any number of leading axes
    torch.testing.assert_close(found, overlap(x, y, kabsch(x, y, mask)).expand(2, -1))


def test_best_overlap_of_a_mirror_image_is_not_that_of_a_reflection(clouds):
    x, _ = clouds
    mirror = x * x.new_tensor([1.0, 1.0, -1.0])
    assert (alignment.best_overlap(x.mT @ x) > alignment.best_overlap(x.mT @ mirror) + 1e-3)[1:].all()
