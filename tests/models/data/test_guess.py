import numpy as np
import pytest

from models.data import guess, mmff
from models.data.guess import Recipe, embed_guesses, guess_all, make_guesses
from models.data.verify import check_geometry, geometry_limits, stereo_matches


def test_each_guess_belongs_to_its_seed(molecule_of):
    molecule = molecule_of("OCC(N)C=O")
    first, second = embed_guesses(molecule, [3, 2**52 + 4])
    (again,) = embed_guesses(molecule, [2**52 + 4])
    assert np.array_equal(second, again)
    assert not np.allclose(first, second, atol=0.01)
    assert first.shape == (molecule.num_atoms, 3)


def test_guesses_made_in_one_call_are_those_made_alone(molecule_of):
    molecule = molecule_of("C[C@H](N)C(=O)OCC")
    seeds = [*range(5, 16), 2**32 + 5, 2**32 + 6, 2**16 - 1, 2**16, 2**16 + 1, 3, 4, 4]
    together, alone = embed_guesses(molecule, seeds), [embed_guesses(molecule, [seed])[0] for seed in seeds]
    assert all(map(np.array_equal, together, alone))
    assert len({x.tobytes() for x in together}) == len(set(seeds))


def test_consecutive_seeds_share_calls(molecule_of, monkeypatch):
    sizes, embed = [], guess.rdDistGeom.EmbedMultipleConfs
    monkeypatch.setattr(
        guess.rdDistGeom, "EmbedMultipleConfs", lambda mol, n, how: sizes.append(n) or embed(mol, n, how)
    )
    embed_guesses(molecule_of("CO"), [*range(7, 17), 40, 2**32 + 7, 2**32 + 8])
    assert sizes == [guess.SEEDS_AT_ONCE, 2, 1, 2]


def test_guess_that_fails_does_not_cost_those_made_with_it(molecule_of, monkeypatch):
    molecule, lost, embed = molecule_of("CCO"), {}, guess.rdDistGeom.EmbedMultipleConfs
    expected = embed_guesses(molecule, range(4))

    def fail(mol, n, how):
        lost.setdefault("seed", how.randomSeed + 2)  # the third of the first call
        if lost["seed"] in range(how.randomSeed, how.randomSeed + n):
            mol.RemoveAllConformers()
            return [-1]
        return embed(mol, n, how)

    monkeypatch.setattr(guess.rdDistGeom, "EmbedMultipleConfs", fail)
    found = embed_guesses(molecule, range(4))
    assert [x is None for x in found] == [False, False, True, False]
    assert all(np.array_equal(found[k], expected[k]) for k in (0, 1, 3))


def test_long_chains_have_guesses(molecule_of, monkeypatch):
    lipid = "CCCCCCCC/C=C\\CCCCCCCC(=O)OC[C@H](CO[P@@](=O)(O)OCC[N+](C)(C)C)OC(=O)CCCCCCC/C=C\\CCCCCCCC"
    molecule, tries, embed = molecule_of(lipid), [], guess.rdDistGeom.EmbedMultipleConfs

    def watch(mol, n, how):
        tries.append(how.useRandomCoords)
        return embed(mol, n, how)

    monkeypatch.setattr(guess.rdDistGeom, "EmbedMultipleConfs", watch)
    (x,) = embed_guesses(molecule, [0])
    assert tries == [False, True]
    assert check_geometry(geometry_limits(molecule), x[None]) == [None]


def test_seeds_that_differ_in_high_bits_differ(molecule_of):
    molecule = molecule_of("CCCO")
    low, high = embed_guesses(molecule, [1, 1 + 2**40])
    assert not np.allclose(low, high, atol=0.01)


def test_guesses_are_the_molecule_that_was_asked_for(molecule_of):
    molecule = molecule_of("C[C@H](F)/C=C/[C@@H](O)Cl")
    guesses = np.stack(embed_guesses(molecule, range(5)))
    assert check_geometry(geometry_limits(molecule), guesses) == [None] * 5
    assert all(stereo_matches(molecule, x) for x in guesses)


def test_guesses_of_several_molecules_are_those_of_each(molecule_of):
    molecules, seeds = [molecule_of("CCO"), molecule_of("CCN")], [[1, 2], [7]]
    for molecule, own, found in zip(molecules, seeds, guess_all(molecules, seeds), strict=True):
        assert len(found) == len(own)
        assert all(map(np.array_equal, found, embed_guesses(molecule, own)))


def test_work_can_be_ended_before_each_few_guesses(molecule_of):
    asked = []

    def check_stop():
        asked.append(True)
        if len(asked) == 3:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        guess_all([molecule_of("CCO")], [range(5 * guess.SEEDS_AT_ONCE)], check_stop)
    assert len(asked) == 3


def test_what_cannot_be_embedded_has_no_guess(molecule_of, monkeypatch):
    def fail(mol, n, how):
        raise RuntimeError("Pre-condition Violation")

    for broken in (lambda mol, n, how: [-1], fail):
        monkeypatch.setattr(guess.rdDistGeom, "EmbedMultipleConfs", broken)
        assert embed_guesses(molecule_of("CCO"), [1, 2]) == [None, None]


def test_guess_does_not_depend_on_how_long_it_takes(molecule_of, monkeypatch):
    molecule, embed = molecule_of("CCO"), guess.rdDistGeom.EmbedMultipleConfs
    expected = embed_guesses(molecule, [3, 4])

    def dawdle(mol, n, how):  # as on a machine that gives this process a hundredth of a core
        return [-1] if 0 < how.timeout < 100 else embed(mol, n, how)

    monkeypatch.setattr(guess.rdDistGeom, "EmbedMultipleConfs", dawdle)
    assert all(map(np.array_equal, embed_guesses(molecule, [3, 4]), expected))


@pytest.mark.parametrize(
    ("smiles", "attempts"),
    [("C1C[C@H]2CC[C@H]1C2", 138), ("N[C@]1(C(=O)O)[C@@H]2C[C@H]3C[C@@H](C2)C[C@H]1C3", 52)],
    ids=["trans-norbornane", "adamantane"],
)
def test_impossible_molecule_is_given_up_after_attempts_by_its_size(molecule_of, monkeypatch, smiles, attempts):
    calls, embed = [], guess.rdDistGeom.EmbedMultipleConfs

    def count(mol, n, how):
        how.trackFailures = True
        found = embed(mol, n, how)
        calls.append((how.useRandomCoords, sum(how.GetFailureCounts())))
        return found

    monkeypatch.setattr(guess.rdDistGeom, "EmbedMultipleConfs", count)
    assert embed_guesses(molecule_of(smiles), [0]) == [None]
    assert calls == [(False, attempts), (True, attempts)]


def test_several_guesses_at_once_are_begun_again_early_when_one_fails(molecule_of, monkeypatch):
    calls = []
    monkeypatch.setattr(
        guess.rdDistGeom, "EmbedMultipleConfs", lambda mol, n, how: calls.append((n, how.maxIterations)) or [-1]
    )
    embed_guesses(molecule_of("CCO"), [0, 1])
    assert calls == [(2, 16), *[(1, 160)] * 4]


def test_molecule_is_left_as_it_was(molecule_of):
    molecule = molecule_of("CCO")
    embed_guesses(molecule, [1])
    assert molecule.mol.GetNumConformers() == 0


RELAXED = Recipe(relax=True)


def test_relaxed_guesses_lie_lower(molecule_of):
    molecule = molecule_of("OCC(N)C=O")
    raw, relaxed = (np.stack(make_guesses(molecule, [3, 4], recipe)) for recipe in (Recipe(), RELAXED))
    assert (mmff.energies(molecule.mol, relaxed) < mmff.energies(molecule.mol, raw) - 1).all()


def test_lowest_of_several_tries_is_taken(molecule_of):
    molecule, seeds = molecule_of("OCC(N)CCO"), [3, 4, 5]
    one, four = (np.stack(make_guesses(molecule, seeds, Recipe(True, n))) for n in (1, 4))
    energies = [mmff.energies(molecule.mol, x) for x in (one, four)]
    assert (energies[1] <= energies[0] + 1e-6).all()
    assert energies[1].sum() < energies[0].sum() - 0.5
    (alone,) = make_guesses(molecule, [4], Recipe(True, 4))
    np.testing.assert_allclose(alone, four[1])


def test_molecule_that_the_force_field_does_not_know_keeps_its_guess(molecule_of, monkeypatch):
    boron = molecule_of("CB(O)O")
    assert np.array_equal(*(make_guesses(boron, [3], r)[0] for r in (Recipe(), Recipe(True, 5))))
    monkeypatch.setattr(guess.rdDistGeom, "EmbedMultipleConfs", lambda mol, n, how: [-1])
    assert make_guesses(molecule_of("CCO"), [1, 2], Recipe(True, 2)) == [None, None]


def test_molecule_with_too_many_rings_keeps_its_guess_as_embedded(molecule_of, monkeypatch):
    molecule = molecule_of("c1ccccc1CO")
    monkeypatch.setattr(guess, "_MAX_RINGS", 0)
    monkeypatch.setattr(mmff, "has_parameters", None)  # would take RDKit minutes
    assert np.array_equal(*(make_guesses(molecule, [3], r)[0] for r in (Recipe(), RELAXED)))
