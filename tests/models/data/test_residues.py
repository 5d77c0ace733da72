import torch

from models.data.residues import (
    PAIR_SIZES,
    TOKEN_SIZES,
    Conditions,
    build_residues,
    no_conditions,
    without_conditions,
)

LENGTHS = torch.tensor([5, 3])


def asked():
    secondary = torch.zeros(2, 6).long()
    secondary[0, :5] = torch.tensor([1, 1, 2, 3, 3])
    return Conditions(torch.tensor([0.4, torch.nan]), torch.tensor([0.0, 1.0]), torch.tensor([3, 0]), secondary)


def test_every_code_is_within_its_table():
    long = build_residues(torch.tensor([300, 40]), 300, no_conditions(2, 300))
    assert (long.tokens.amax((0, 1)) < torch.tensor(TOKEN_SIZES)).all()
    assert 0 <= long.pairs.min() <= long.pairs.max() < PAIR_SIZES[0]
    assert long.pairs.max() == PAIR_SIZES[0] - 1


def test_features_say_where_a_residue_is():
    batch = build_residues(LENGTHS, 6, asked())
    assert batch.token_mask.sum(1).tolist() == [5, 3]
    assert batch.tokens[0, :5, 0].tolist() == [0, 1, 2, 3, 4]
    assert batch.tokens[0, :5, 1].tolist() == [4, 3, 2, 1, 0]
    assert (batch.pairs[0, 2, :5] - batch.pairs[0, 2, 2]).tolist() == [-2, -1, 0, 1, 2]
    assert batch.bonded[1].sum() == 4
    assert not batch.tokens[1, 3:].any()
    assert not batch.quadruple_mask.any()


def test_conditions_are_codes_and_nothing_asked_is_zero():
    tokens = build_residues(LENGTHS, 6, asked()).tokens
    assert tokens[0, 0].tolist()[3:] == [5, 1, 3, 1]
    assert tokens[1, 0].tolist()[3:] == [0, 11, 0, 0]
    assert tokens[0, :5, 6].tolist() == [1, 1, 2, 3, 3]
    yes, no = torch.tensor([True, True]), torch.tensor([False, False])
    hidden = asked().known_where(no, no, no, no)
    assert not build_residues(LENGTHS, 6, hidden).tokens[..., 3:].any()
    told = build_residues(LENGTHS, 6, asked().known_where(yes, yes, yes, yes)).tokens
    assert (told == tokens).all()
    alone = build_residues(LENGTHS, 6, asked().known_where(yes, no, no, no)).tokens
    assert (alone[..., 3] == tokens[..., 3]).all()
    assert not alone[..., 4:].any()


def test_a_stretch_knows_its_place_in_the_whole_chain():
    whole = build_residues(torch.tensor([40]), 40, no_conditions(1, 40)).tokens
    stretch = build_residues(torch.tensor([12]), 12, no_conditions(1, 12), torch.tensor([9]), torch.tensor([40])).tokens
    assert (stretch[0] == whole[0, 9:21]).all()


def test_what_is_asked_can_be_taken_away():
    batch = build_residues(LENGTHS, 6, asked())
    plain, expected = without_conditions(batch), build_residues(LENGTHS, 6, no_conditions(2, 6))
    assert batch.tokens[..., 3:].any()
    assert all(torch.equal(getattr(plain, name), getattr(expected, name)) for name in vars(expected))


def test_features_of_a_chain_do_not_depend_on_its_batch():
    together = build_residues(LENGTHS, 6, no_conditions(2, 6))
    alone = build_residues(LENGTHS[1:], 3, no_conditions(1, 3))
    assert (together.tokens[1, :3] == alone.tokens[0]).all()
    assert (together.pairs[1, :3, :3] == alone.pairs[0]).all()
