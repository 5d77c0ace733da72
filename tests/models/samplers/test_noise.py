import pytest
import torch

from models.samplers.noise import SeededNoise


def canvas(batch, size, dtype=torch.float32):
    return torch.empty(batch, size, 3, dtype=dtype)


def test_noise_does_not_depend_on_batch_mates_or_padding():
    single = SeededNoise([7], [3])
    shared = SeededNoise([1, 7, 2], [6, 3, 9])
    for size in (9, 9, 12):  # also not over several draws
        alone, together = single.draw(canvas(1, 3)), shared.draw(canvas(3, size))
        assert torch.equal(together[1, :3], alone[0])


def test_noise_is_zero_where_padded():
    draw = SeededNoise([1, 2], [2, 5]).draw(canvas(2, 5))
    assert (draw[0, 2:] == 0).all()
    assert (draw[0, :2] != 0).all()


def test_noise_is_standard_normal():
    noise = SeededNoise(range(200), [100] * 200).draw(canvas(200, 100))
    # 60 000 numbers: the standard error of the mean is 0.004, that of the variance 0.006.
    assert noise.mean().item() == pytest.approx(0, abs=0.02)
    assert noise.var().item() == pytest.approx(1, abs=0.03)


def test_noise_of_different_seeds_differs_and_of_equal_seeds_agrees():
    draw = SeededNoise([5, 6, 5], [4, 4, 4]).draw(canvas(3, 4))
    assert torch.equal(draw[0], draw[2])
    assert not torch.equal(draw[0], draw[1])


def test_noise_goes_on_with_each_draw():
    source = SeededNoise([5], [4])
    assert not torch.equal(source.draw(canvas(1, 4)), source.draw(canvas(1, 4)))


def test_noise_accepts_any_integer_seed():
    draw = SeededNoise([-1, 2**64 + 3], [2, 2]).draw(canvas(2, 2))
    assert draw.isfinite().all()


def test_noise_does_not_touch_the_global_stream():
    before = torch.get_rng_state()
    SeededNoise([1], [4]).draw(canvas(1, 4))
    assert torch.equal(torch.get_rng_state(), before)


def test_noise_has_the_dtype_and_device_of_the_canvas(device):
    like = canvas(1, 4, torch.float64).to(device)
    draw = SeededNoise([1], [4]).draw(like)
    assert draw.dtype == like.dtype
    assert draw.device == like.device
    torch.testing.assert_close(draw.cpu().float(), SeededNoise([1], [4]).draw(canvas(1, 4)))  # the same numbers


def test_noise_take_keeps_streams():
    source, witness = SeededNoise([1, 2, 3], [2, 3, 4]), SeededNoise([1, 2, 3], [2, 3, 4])
    source.draw(canvas(3, 4)), witness.draw(canvas(3, 4))
    part = source.take([2, 0])
    assert len(part) == 2
    assert part.counts == [4, 2]
    assert torch.equal(part.draw(canvas(2, 4)), witness.draw(canvas(3, 4))[[2, 0]])


def test_noise_join_keeps_streams():
    first, second = SeededNoise([1, 2], [2, 3]), SeededNoise([3], [4])
    witness = SeededNoise([1, 2, 3], [2, 3, 4])
    first.draw(canvas(2, 4)), second.draw(canvas(1, 4)), witness.draw(canvas(3, 4))
    both = first.join(second)
    assert len(both) == 3
    assert torch.equal(both.draw(canvas(3, 4)), witness.draw(canvas(3, 4)))
