import torch

from models.data.batch import pad
from models.networks.conditioned import ConditionedDenoiser
from models.networks.held import Held


def call(denoise, seed, t=0.4):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(denoise.guess.shape, generator=generator) * denoise.batch.token_mask.unsqueeze(-1)
    return x, denoise(x, torch.full((len(x),), t))


def test_first_guess_has_no_condition_and_the_second_has(molecule_of, tiny_config, shaken):
    module, batch = shaken(tiny_config()), pad([molecule_of("CCO").features])
    denoise = ConditionedDenoiser(module, batch)
    x, first = call(denoise, 0)
    t = torch.tensor([0.4])
    assert torch.equal(first, module(batch, x, t))
    assert torch.equal(denoise(x, t), module(batch, x, t, first))
    assert not torch.equal(denoise.guess, first)


def test_taken_items_keep_their_guess(molecule_of, tiny_config, shaken):
    module = shaken(tiny_config())
    denoise = ConditionedDenoiser(module, pad([molecule_of(s).features for s in ("C", "CCO", "CF")]))
    _, guess = call(denoise, 0)
    taken = denoise.take(torch.tensor([2, 0]))
    assert torch.equal(taken.guess, guess[[2, 0]])
    x, out = call(taken, 1)
    expected = module(pad([molecule_of(s).features for s in ("CF", "C")], 9), x, torch.full((2,), 0.4), guess[[2, 0]])
    torch.testing.assert_close(out, expected)


def test_joined_items_are_padded_and_keep_their_guess(molecule_of, tiny_config, shaken):
    module = shaken(tiny_config())
    for first, second in ((("C", "CF"), ("CCO",)), (("CCO",), ("C", "CF"))):
        parts = [ConditionedDenoiser(module, pad([molecule_of(s).features for s in p])) for p in (first, second)]
        guesses = [call(part, 3)[1] for part in parts]
        joined = parts[0].join(parts[1])
        assert joined.guess.shape == (3, 9, 3)
        for row, guess in enumerate(g for part in guesses for g in part):
            assert torch.equal(joined.guess[row, : len(guess)], guess)
            assert not joined.guess[row, len(guess) :].any()
        condition = joined.guess.clone()
        x, out = call(joined, 4)
        features = [molecule_of(s).features for s in (*first, *second)]
        torch.testing.assert_close(out, module(pad(features), x, torch.full((3,), 0.4), condition))


def test_joining_leaves_the_precision_as_it_was(molecule_of, tiny_config, shaken):
    part = ConditionedDenoiser(shaken(tiny_config()), pad([molecule_of("C").features]), half=True)
    assert part.join(part).half
    assert part.take(torch.tensor([0])).half


def test_guess_has_a_row_per_point(molecule_of, tiny_config, shaken):
    part = ConditionedDenoiser(shaken(tiny_config(points_per_token=4)), pad([molecule_of("C").features]))
    assert part.guess.shape == (1, 20, 3)
    assert part.guess.dtype == torch.float32
    assert part(torch.randn(1, 20, 3), torch.tensor([0.1])).shape == (1, 20, 3)


def test_begin_of_each_item_goes_along(molecule_of, tiny_config, shaken):
    module = shaken(tiny_config(warm_starts=True))
    batch, begin = pad([molecule_of(s).features for s in ("C", "CF")]), torch.tensor([0.0, 0.7])
    both = ConditionedDenoiser(module, batch, begin=begin)
    cold = ConditionedDenoiser(module, batch)
    guesses = [call(part, 0, 0.8)[1] for part in (both, cold)]
    assert torch.equal(guesses[0][0], guesses[1][0])
    assert not torch.allclose(guesses[0][1], guesses[1][1])
    assert both.take(torch.tensor([1])).begin.tolist() == begin[1:].tolist()
    assert both.join(cold).begin.tolist() == [*begin.tolist(), 0.0, 0.0]


def guided(module, names, others, guidance=2.5):
    batch, other = (pad([molecule.features for molecule in molecules]) for molecules in (names, others))
    return ConditionedDenoiser(module, batch, unasked=other, guidance=guidance)


def test_guidance_goes_from_the_guess_without_wishes_beyond_that_with_them(molecule_of, tiny_config, shaken):
    module, asked, unasked = shaken(tiny_config()), [molecule_of("CCO")], [molecule_of("CCS")]
    denoise, t = guided(module, asked, unasked), torch.tensor([0.4])
    x, first = call(denoise, 0)
    told, freely = (module(pad([m.features for m in own]), x, t) for own in (asked, unasked))
    assert not torch.allclose(told, freely)
    torch.testing.assert_close(first, freely + 2.5 * (told - freely))
    told, freely = (module(pad([m.features for m in own]), x, t, first) for own in (asked, unasked))
    torch.testing.assert_close(denoise(x, t), freely + 2.5 * (told - freely))  # both know the last guess


def test_guided_items_join_and_leave(molecule_of, tiny_config, shaken):
    module = shaken(tiny_config())
    pairs = [([molecule_of("CCO")], [molecule_of("CCS")]), ([molecule_of("C")], [molecule_of("[SiH4]")])]
    parts = [guided(module, *pair) for pair in pairs]
    both = parts[0].join(parts[1])
    x, made = call(both, 1)
    for row, part in enumerate(parts):
        size = part.guess.shape[1]
        alone = part(x[row : row + 1, :size], torch.tensor([0.4]))
        torch.testing.assert_close(made[row, :size], alone[0])
    left = both.take(torch.tensor([1]))
    x, made = call(left, 2)
    torch.testing.assert_close(made[:, :5], parts[1](x[:, :5], torch.tensor([0.4])))


def test_padded_points_stay_where_they_are_when_others_are_held(molecule_of, tiny_config, shaken):
    batch = pad([molecule_of(s).features for s in ("C", "CCO")])
    x = torch.randn(2, 9, 3) * batch.token_mask.unsqueeze(-1)
    held = Held(torch.randn(2, 9, 3), (torch.arange(9) < 3).expand(2, -1))
    denoise = ConditionedDenoiser(shaken(tiny_config()), batch, held=held)
    assert not denoise(x, torch.full((2,), 0.4))[0, 5:].any()
