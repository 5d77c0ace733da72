import torch

from models.networks.embedding import CategoryEmbedding, PairTable, RadialBasis, TimeEmbedding


def test_time_is_embedded_for_each_sample_alone():
    torch.manual_seed(0)
    embed = TimeEmbedding(8)
    t = torch.tensor([0.0, 0.3, 1.0])
    together = embed(t)
    assert together.shape == (3, 8)
    for k in range(3):
        torch.testing.assert_close(embed(t[k : k + 1])[0], together[k])
    assert (together[0] - together[2]).abs().max() > 1e-2


def test_categories_of_different_columns_do_not_share_a_row():
    embed = CategoryEmbedding((3, 2, 4), 5)
    assert embed.table.weight.shape == (9, 5)
    expected = embed.table.weight[0 + 2] + embed.table.weight[3 + 1] + embed.table.weight[5 + 3]
    torch.testing.assert_close(embed(torch.tensor([[[2, 1, 3]]]))[0, 0], expected)


def test_pair_table_reads_codes_as_digits():
    table = PairTable((3, 2, 4), 5)
    rows = table()
    assert rows.shape == (24, 5)
    onehot = table.onehot[2 * 8 + 1 * 4 + 3]
    assert onehot.nonzero().flatten().tolist() == [2, 3 + 1, 5 + 3]
    torch.testing.assert_close(rows[23], table.layers(onehot))


def test_radial_basis_peaks_at_its_centres():
    basis = RadialBasis(6, 10.0)
    assert basis.centres[0] == 0
    assert basis.centres[-1] == 10
    assert (basis.centres.diff().diff() > 0).all()  # denser where bonds are
    values = basis(basis.centres)
    torch.testing.assert_close(values.diagonal(), torch.ones(6))
    assert basis(torch.zeros(2, 3, 3)).shape == (2, 3, 3, 6)
    assert values.max() <= 1
