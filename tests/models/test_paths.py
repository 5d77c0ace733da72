import numpy as np
import pytest

from models.data.guess import guess_all
from models.draws import Draw
from models.options import STEPS, SampleOptions, build_options
from models.paths import Origin, run_paths, start_paths

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
    assert [(path.x.shape, path.x.dtype) for path in made] == [((n, 3), np.float32) for n in (5, 9, 5)]
    assert all(path.as_asked and np.isfinite(path.x).all() for path in made)


def test_draws_without_a_guess_start_from_noise(model, molecule_of, sizes):
    molecules = [molecule_of("CCO"), molecule_of("CCCCCCCCCCCC")]

    def guesser(asked, seeds, check_stop, recipe):
        found = guess_all(asked, seeds, check_stop, recipe)
        return [[None] * len(own) if m is molecules[1] else own for m, own in zip(asked, found, strict=True)]

    made = run_paths(model, molecules, draws_of(0, 1, 0, 1), WARM, guesser, go_on)
    assert [path.as_asked for path in made] == [True, False, True, False]
    assert sizes == [(2, 16, 3)] * WARM.steps + [(2, 40, 3)] * STEPS["noise"]
    warm = run_paths(model, molecules, [Draw(0, 0, 5, 0), Draw(0, 2, 7, 0)], WARM, guess_all, go_on)
    cold = run_paths(model, molecules, [Draw(1, 1, 6, 0), Draw(1, 3, 8, 0)], SampleOptions(), guess_all, go_on)
    for path, expected in zip(made, (warm[0], cold[0], warm[1], cold[1]), strict=True):
        assert np.array_equal(path.x, expected.x)


def test_guesses_are_asked_for_once_for_each_molecule(model, molecule_of):
    molecules, asked = [molecule_of("CCO"), molecule_of("CO")], []

    def guesser(molecules, seeds, check_stop, recipe):
        asked.append([(m.smiles, list(own)) for m, own in zip(molecules, seeds, strict=True)])
        return guess_all(molecules, seeds, check_stop, recipe)

    run_paths(model, molecules, draws_of(1, 0, 1, 1), build_options("etkdg", steps=1), guesser, go_on)
    assert asked == [[("CO", [5, 7, 8]), ("CCO", [6])]]


def test_guesses_are_asked_for_only_where_they_are_worth_it(model, molecule_of):
    asked = []

    def guesser(molecules, seeds, check_stop, recipe):
        asked.append([list(own) for own in seeds])
        return guess_all(molecules, seeds, check_stop, recipe)

    molecules = [molecule_of("CCO"), molecule_of("CCN")]
    draws = [Draw(0, 0, 5, 0), Draw(0, 1, 6, 1, guess=False), Draw(1, 0, 7, 2, guess=False)]
    paths = run_paths(model, molecules, draws, WARM, guesser, go_on)
    assert asked == [[[5]]]
    assert [path.as_asked for path in paths] == [True, False, False]


def test_stop_is_asked_after_each_step(model, molecule_of):
    asked = []
    run_paths(model, [molecule_of("C")], draws_of(0), SampleOptions(steps=7), guess_all, lambda: asked.append(True))
    assert len(asked) == 7


def begun(model, molecule_of, options, *smiles, seeds=None):
    """Paths of some molecules, and guesses where the options ask for them."""
    origins = []
    for k, text in enumerate(smiles):
        molecule, seed = molecule_of(text), (seeds or range(5, 99))[k]
        guess = None if options.start == "noise" else guess_all([molecule], [[seed]])[0][0]
        origins.append(Origin(molecule.features, seed, options, guess))
    return start_paths(model, origins)


def ended(paths):
    while not paths.finished.all():
        paths.advance()
    return paths.structures(range(len(paths)))


def test_paths_with_other_steps_and_starts_share_a_batch(model, molecule_of):
    options = [build_options(steps=6), build_options("etkdg", steps=3), build_options("mmff94s", steps=2)]
    alone = [ended(begun(model, molecule_of, o, "CCO", seeds=[k]))[0] for k, o in enumerate(options)]
    first, second, third = (begun(model, molecule_of, o, "CCO", seeds=[k]) for k, o in enumerate(options))
    first.advance()
    paths = first.join(second)
    paths.advance()
    paths = paths.join(third)
    made = {}
    names = [0, 1, 2]
    while names:
        paths.advance()
        rows = np.flatnonzero(paths.finished)
        made |= {names[row]: x for row, x in zip(rows, paths.structures(rows), strict=True)}
        names = [name for row, name in enumerate(names) if row not in rows]
        paths = paths.take(np.flatnonzero(~paths.finished))
    for name, expected in enumerate(alone):
        np.testing.assert_allclose(made[name], expected, atol=1e-4)


def test_paths_of_one_start_may_differ_in_steps_and_time(model, molecule_of):
    options = [build_options("etkdg", steps=3, start_time=0.5), build_options("etkdg", steps=5, start_time=0.9)]
    alone = [ended(begun(model, molecule_of, o, "CCO", seeds=[k]))[0] for k, o in enumerate(options)]
    molecule = molecule_of("CCO")
    origins = [Origin(molecule.features, k, o, guess_all([molecule], [[k]])[0][0]) for k, o in enumerate(options)]
    paths = start_paths(model, origins)
    assert paths.finished.tolist() == [False, False]
    for _ in range(3):
        paths.advance()
    assert paths.finished.tolist() == [True, False]
    np.testing.assert_allclose(paths.structures([0])[0], alone[0], atol=1e-4)
    np.testing.assert_allclose(ended(paths.take([1]))[0], alone[1], atol=1e-4)


def test_paths_can_be_padded_more(model, molecule_of):
    molecule = molecule_of("CCO")
    origins = [Origin(molecule.features, 3, build_options(steps=4))]
    wide = ended(start_paths(model, origins, size=32))
    assert wide[0].shape == (9, 3)
    np.testing.assert_allclose(wide[0], ended(start_paths(model, origins))[0], atol=1e-4)


def test_structures_stay_when_their_batch_goes_on(model, molecule_of):
    paths = begun(model, molecule_of, build_options(steps=4), "CCO", "C")
    paths.advance()
    (before,) = paths.structures([1])
    kept = before.copy()
    paths.advance()
    assert np.array_equal(before, kept)
    assert not np.array_equal(paths.structures([1])[0], kept)
