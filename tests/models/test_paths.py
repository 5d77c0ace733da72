import numpy as np
import pytest

from models.data.guess import guess_all
from models.options import build_options
from models.paths import Draw, rows_of, run_paths

WARM = build_options("etkdg")


def draws_of(*molecules):
    return [Draw(m, k, 5 + k, 0) for k, m in enumerate(molecules)]


@pytest.fixture(scope="module")
def model(model_of, tiny_config, shaken):
    """A network that moves atoms about in its own way, and says what it was given."""
    module = shaken(tiny_config(), seed=3)
    module.sizes = []
    module.register_forward_pre_hook(lambda module, given: module.sizes.append(tuple(given[1].shape)))
    return model_of(module)


@pytest.fixture
def sizes(model):
    """Shapes of the coordinates that the network is given."""
    model.module.sizes.clear()
    return model.module.sizes


def go_on():
    pass


@pytest.mark.parametrize("start", ["noise", "etkdg", "mmff94s"])
def test_paths_end_at_the_true_size_of_each_molecule(model, molecule_of, start):
    molecules = [molecule_of("CCO"), molecule_of("C")]
    made = run_paths(model, molecules, draws_of(1, 0, 1), build_options(start, steps=2), guess_all, go_on)
    assert [(x.shape, x.dtype) for x in made] == [((n, 3), np.float32) for n in (5, 9, 5)]
    assert all(np.isfinite(x).all() for x in made)


def test_only_draws_with_a_guess_are_sampled(model, molecule_of, sizes):
    molecules = [molecule_of("CCO"), molecule_of("CCCCCCCCCCCC")]

    def guesser(asked, seeds, check_stop, recipe):
        found = guess_all(asked, seeds, check_stop, recipe)
        return [[None] * len(own) if m is molecules[1] else own for m, own in zip(asked, found, strict=True)]

    made = run_paths(model, molecules, draws_of(0, 1, 0, 1), WARM, guesser, go_on)
    assert [x is None for x in made] == [False, True, False, True]
    assert sizes == [(2, 16, 3)] * WARM.steps
    expected = run_paths(model, molecules, [Draw(0, 0, 5, 0), Draw(0, 2, 7, 0)], WARM, guess_all, go_on)
    assert all(map(np.array_equal, (made[0], made[2]), expected))


def test_nothing_is_sampled_without_any_guess(model, molecule_of, sizes):
    made = run_paths(model, [molecule_of("CCO")], draws_of(0, 0), WARM, lambda *_: [[None, None]], go_on)
    assert made == [None, None]
    assert sizes == []


def test_guesses_are_asked_for_once_for_each_molecule(model, molecule_of):
    molecules, asked = [molecule_of("CCO"), molecule_of("CO")], []

    def guesser(molecules, seeds, check_stop, recipe):
        asked.append([(m.smiles, list(own)) for m, own in zip(molecules, seeds, strict=True)])
        return guess_all(molecules, seeds, check_stop, recipe)

    run_paths(model, molecules, draws_of(1, 0, 1, 1), build_options("etkdg", steps=1), guesser, go_on)
    assert asked == [[("CO", [5, 7, 8]), ("CCO", [6])]]


def test_stop_is_asked_after_each_step(model, molecule_of):
    asked = []
    run_paths(model, [molecule_of("C")], draws_of(0), build_options(steps=7), guess_all, lambda: asked.append(True))
    assert len(asked) == 7


def test_rows_are_told_by_molecule():
    assert rows_of(draws_of(2, 0, 2)) == {2: [0, 2], 0: [1]}
