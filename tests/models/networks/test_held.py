import torch

from models.geometry.alignment import rmsd
from models.geometry.rigid import random_rotation, rotate
from models.networks.held import Held, widen


def cloud(count, size):
    return torch.randn(count, size, 3, dtype=torch.float64)


def first(number, size, count=1):
    return (torch.arange(size) < number).expand(count, -1)


def test_held_points_get_their_shape_where_the_guess_has_them():
    guess, shape, mask = cloud(2, 9), cloud(2, 9), first(4, 9, 2)
    after = Held(shape, mask).put_into(guess)
    assert (rmsd(after, shape, mask) < 1e-6).all()
    moved = (after - guess)[:, 3:4]
    torch.testing.assert_close((after - guess)[:, 4:], moved.expand(-1, 5, -1))
    torch.testing.assert_close(after[:, :4].mean(1), guess[:, :4].mean(1))


def test_points_between_held_ones_move_in_proportion():
    guess, shape = cloud(1, 12), cloud(1, 12)
    mask = torch.zeros(1, 12, dtype=torch.bool)
    mask[:, [2, 3, 7, 8]] = True
    moved = (Held(shape, mask).put_into(guess) - guess)[0]
    for place, share in ((4, 0.25), (5, 0.5), (6, 0.75)):
        torch.testing.assert_close(moved[place], moved[3] + share * (moved[7] - moved[3]))
    for place, end in ((0, 2), (1, 2), (9, 8), (11, 8)):
        torch.testing.assert_close(moved[place], moved[end])


def test_held_shape_may_lie_anywhere():
    guess, shape, mask = cloud(1, 9), cloud(1, 9), first(5, 9)
    moved = rotate(shape, random_rotation(torch.randn(1, 4, dtype=torch.float64))) + 30.0
    torch.testing.assert_close(Held(moved, mask).put_into(guess), Held(shape, mask).put_into(guess))


def test_guess_of_the_held_shape_stays():
    guess = cloud(1, 9)
    torch.testing.assert_close(Held(guess, first(5, 9)).put_into(guess), guess)


def test_nothing_held_changes_nothing():
    guess = cloud(3, 6)
    torch.testing.assert_close(Held.nothing(guess).put_into(guess), guess)


def test_join_and_take_keep_each_sample_its_own():
    small, large = Held(cloud(1, 4), first(3, 4)), Held(cloud(2, 6), first(5, 6, 2))
    both = small.join(large)
    guess = cloud(3, 6)
    after = both.put_into(guess)
    torch.testing.assert_close(after[1:], large.put_into(guess[1:]))
    torch.testing.assert_close(after[:1, :4], small.put_into(guess[:1, :4]))
    picked = both.take(torch.tensor([2, 0]))
    torch.testing.assert_close(picked.put_into(guess[[2, 0]]), after[[2, 0]])
    assert widen(small.x, 6).shape == (1, 6, 3)
