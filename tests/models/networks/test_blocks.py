import torch

from models.networks.blocks import Block, PairBiasAttention, modulate


def inputs(count=5, channels=8, heads=2, batch=2):
    generator = torch.Generator().manual_seed(0)
    h = torch.randn(batch, count, channels, generator=generator)
    bias = torch.randn(batch, heads, count, count, generator=generator)
    return h, torch.randn(batch, channels, generator=generator), bias, torch.randn(batch, count, 3, generator=generator)


def test_modulate_by_zero_changes_nothing():
    h, condition, *_ = inputs()
    assert torch.equal(modulate(h, torch.zeros_like(condition), torch.zeros_like(condition)), h)
    assert torch.equal(modulate(h, condition, -torch.ones_like(condition)), condition[:, None].expand_as(h))


def test_fresh_block_changes_nothing():
    h, condition, bias, position = inputs()
    assert torch.equal(Block(8, 2, 2)(h, condition, bias, position), h)


def test_attention_ignores_keys_with_an_infinite_bias():
    torch.manual_seed(0)
    attention = PairBiasAttention(8, 2)
    h, _, bias, position = inputs()
    bias[:, :, :, 3:] = float("-inf")
    before = attention(h, bias, position)
    h[:, 3:], position[:, 3:] = 100.0, -100.0
    assert torch.equal(attention(h, bias, position)[:, :3], before[:, :3])


def test_attention_follows_the_order_of_the_tokens():
    torch.manual_seed(0)
    attention = PairBiasAttention(8, 2)
    h, _, bias, position = inputs()
    order = torch.tensor([3, 0, 4, 1, 2])
    moved = attention(h[:, order], bias[:, :, order][:, :, :, order], position[:, order])
    torch.testing.assert_close(moved, attention(h, bias, position)[:, order])


def test_attention_sees_offsets_and_not_places():
    torch.manual_seed(0)
    attention = PairBiasAttention(8, 2)
    h, _, bias, position = inputs()
    shifted = attention(h, bias, position + torch.tensor([1.0, -2.0, 0.5]))
    torch.testing.assert_close(shifted, attention(h, bias, position), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(attention(h, bias, 2 * position), attention(h, bias, position))
