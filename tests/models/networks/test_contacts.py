import torch

from models.networks.contacts import ContactEdges

NEAR, REACH = 2, 2


def look(x, guess, mask):
    torch.manual_seed(0)
    edges = ContactEdges(NEAR, REACH, 4, 1, sources=2, condition=5, width=6)
    axes = torch.eye(3).expand(*mask.shape, 3, 3)
    return edges([x, guess], [axes, axes], mask, torch.zeros(len(x), 5))


def line(places):
    """Residues of four points that coincide, on a line.  [1, N, 4, 3]"""
    x = torch.zeros(1, len(places), 4, 3)
    x[..., 0] = torch.tensor(places)[None, :, None]
    return x


def test_the_nearest_that_are_not_next_along_the_chain_are_found():
    x, mask = line([0.1, 4.0, 8.0, 7.0, 3.0, 1.0]), torch.ones(1, 6, dtype=torch.bool)
    index, weight, _ = look(x, torch.zeros_like(x), mask)
    assert index[0, 0].tolist() == [5, 4]
    assert (weight[0, 0] > 0.9).all()
    assert index[0, 2, 0] == 5 and weight[0, 2, 1] == 0  # only one is further along the chain than the reach


def test_a_guess_says_what_is_near_where_there_is_one():
    x, mask = line([0.1, 4.0, 8.0, 7.0, 3.0, 1.0]), torch.ones(1, 6, dtype=torch.bool)
    guess = line([0.1, 4.0, 8.0, 1.0, 30.0, 60.0])
    assert look(x, guess, mask)[0][0, 0].tolist() == [3, 4]


def test_padding_is_no_contact():
    x, mask = line([0.1, 4.0, 8.0, 7.0, 3.0, 1.0]), torch.tensor([[True] * 5 + [False]])
    index, weight, _ = look(x, torch.zeros_like(x), mask)
    assert index[0, 0, 0] == 4
    assert weight[0, 0, 0] == weight.new_tensor(-((2.9 / 8) ** 2) / 2).exp()
    assert not weight[index == 5].any()
