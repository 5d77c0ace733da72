from collections import Counter
from itertools import count

import numpy as np
import pytest
import torch

from models.data.batch import pad
from models.data.guess import Recipe, embed_guesses, guess_all, make_guesses
from models.draws import MAX_SEED, RETRY_STRIDE
from models.errors import SamplerError
from models.geometry.alignment import rmsd
from models.networks.conditioned import ConditionedDenoiser
from models.options import SampleOptions, build_options
from models.pipeline import generate
from models.samplers.noise import SeededNoise
from models.samplers.schedule import build_schedule
from models.samplers.state import advance, start
from models.samplers.steps import StepConfig, build_step

MATES = [
    "C", "CC", "CCC", "CCCC", "CCCCC", "CCO", "CCCO", "CCCCO", "CN", "CCN", "CCCN", "CF", "CCF", "CCCF", "O", "N",
    "C=C", "CC=C", "CCC=C", "C#C", "CC#C", "CCC#C", "C=O", "CC=O", "CCC=O", "COC", "CCOC", "CCOCC", "CSC", "CCSC",
    "C1CC1", "C1CCC1", "C1CCCC1", "C1CCCCC1", "c1ccccc1", "Cc1ccccc1", "c1ccncc1", "c1cc[nH]c1", "c1ccoc1", "c1ccsc1",
    "NC=O", "CNC=O", "CC(=O)N", "CC(=O)O", "CC(C)C", "CC(C)(C)C", "CC(C)O", "OCCO", "NCCN", "NCCO", "ClCCl", "BrCBr",
    "FC(F)F", "CCCCCC", "CCCCCCC", "CCCCCCCC", "C[Si](C)(C)C", "CB(O)O", "CP(C)C", "C[Se]C", "[NH4+]", "[Cl-]",
    "[H][H]", "CS(=O)(=O)C",
]  # fmt: skip
SUBJECT = "C[C@H](N)C(=O)O"
FAST = SampleOptions(steps=30, rounds=1)


def raw(model, molecules, counts, seeds, options=FAST):
    """Every structure drawn, good or not, by (molecule, index, attempt)."""
    drawn = {}

    def keep(draw, x, fault):
        drawn[draw.molecule, draw.index, draw.attempt] = (draw.seed, x.copy(), fault)

    ensembles = generate(model, molecules, counts, seeds, options, on_structure=keep)
    return drawn, ensembles


def structure(drawn, molecule=0, index=0, attempt=0):
    return drawn[molecule, index, attempt][1]


def run_paths(model, molecules, seeds, steps, joined_at=None, kind="ode"):
    """All items in one batch through the running-batch interface; with `joined_at`, the last one joins on the way."""
    step, schedule = build_step(StepConfig(kind, True, 0.5)), build_schedule("uniform")

    def begin(part, part_seeds):
        batch = pad([m.features for m in part])
        noise = SeededNoise(part_seeds, [m.num_atoms for m in part])
        state = start(model.prior, noise, batch.token_mask, batch.bonded, steps)
        return state, ConditionedDenoiser(model.module, batch)

    with torch.inference_mode():
        cut = len(molecules) if joined_at is None else -1
        state, denoise = begin(molecules[:cut], seeds[:cut])
        for number in count():
            if number == joined_at:
                late, late_denoise = begin(molecules[cut:], seeds[cut:])
                state, denoise = state.join(late), denoise.join(late_denoise)
            if bool(state.finished.all()) and number > (joined_at or 0):
                return [state.x[row, : m.num_atoms].numpy() for row, m in enumerate(molecules)]
            state = advance(state, denoise, step, schedule)
    return []


@pytest.fixture(scope="module")
def model(model_of, tiny_config, shaken):
    """A network that moves atoms about in its own way."""
    return model_of(shaken(tiny_config(), seed=3))


@pytest.fixture(scope="module")
def mates(molecule_of):
    return [molecule_of(s) for s in MATES]


@pytest.mark.parametrize("kind", ["ode", "heun"])
def test_structure_does_not_depend_on_batch_mates(model, mates, molecule_of, kind):
    subject = molecule_of(SUBJECT)
    options = SampleOptions(kind=kind, steps=30, rounds=1)
    alone, _ = raw(model, [subject], [1], [11], options)
    seeds = list(range(500, 500 + len(mates)))
    together, _ = raw(model, [*mates[:30], subject, *mates[30:]], [1] * 65, [*seeds[:30], 11, *seeds[30:]], options)
    assert len({m.num_atoms for m in mates}) > 10
    assert np.abs(structure(alone)).max() > 1
    np.testing.assert_allclose(structure(together, molecule=30), structure(alone), atol=1e-3)


def test_structure_does_not_depend_on_joining_a_running_batch(model, mates, molecule_of):
    subject = molecule_of(SUBJECT)
    alone, _ = raw(model, [subject], [1], [11])
    seeds = [*range(500, 500 + len(mates)), 11]
    together = run_paths(model, [*mates, subject], seeds, 30)
    late = run_paths(model, [*mates, subject], seeds, 30, joined_at=17)
    for structures in (together, late):
        np.testing.assert_allclose(structures[-1], structure(alone), atol=1e-3)
    for first, second in zip(together, late, strict=True):
        np.testing.assert_allclose(first, second, atol=1e-3)


def test_stochastic_structure_does_not_depend_on_batch_mates(model_of, tiny_config, shaken, mates, molecule_of):
    model = model_of(shaken(tiny_config(), seed=3), "gaussian", "none")
    options = SampleOptions(kind="sde", steps=30, rounds=1)
    subject, seeds = molecule_of(SUBJECT), [*range(64), 11]
    alone, _ = raw(model, [subject], [1], [11], options)
    together, _ = raw(model, [*mates, subject], [1] * 65, seeds, options)
    np.testing.assert_allclose(structure(together, molecule=64), structure(alone), atol=1e-3)
    late = run_paths(model, [*mates, subject], seeds, 30, joined_at=17, kind="sde")
    np.testing.assert_allclose(late[-1], structure(alone), atol=1e-3)


def test_conformer_k_of_a_seed_is_conformer_0_of_a_later_seed(model, molecule_of):
    subject = molecule_of(SUBJECT)
    ensemble, _ = raw(model, [subject], [5], [40])
    for k in range(5):
        alone, _ = raw(model, [subject], [1], [40 + k])
        assert ensemble[0, k, 0][0] == alone[0, 0, 0][0] == 40 + k
        np.testing.assert_allclose(structure(ensemble, index=k), structure(alone), atol=1e-3)
    assert np.abs(structure(ensemble, index=0) - structure(ensemble, index=1)).max() > 0.1


def test_two_calls_give_the_same_bits(model, mates):
    first, second = (raw(model, mates[:6], [2] * 6, [7] * 6)[0] for _ in range(2))
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[key][1], second[key][1]) for key in first)


def test_good_structures_become_conformers(model_of, oracle, molecule_of, structure_of):
    molecules = [molecule_of(SUBJECT, "a"), molecule_of("C/C=C\\C", "b")]
    done = []
    ensembles = generate(
        model_of(oracle(*molecules)), molecules, [3, 2], [5, 9], SampleOptions(steps=3), on_done=done.append
    )
    assert [e.status for e in ensembles] == ["ok", "ok"]
    assert [[c.seed for c in e.conformers] for e in ensembles] == [[5, 6, 7], [9, 10]]
    assert [[c.index for c in e.conformers] for e in ensembles] == [[0, 1, 2], [0, 1]]
    assert [(e.attempts, e.first_pass, e.problems) for e in ensembles] == [(3, 3, ()), (2, 2, ())]
    assert [e.molecule.id for e in ensembles] == ["a", "b"]
    assert sum(done) == 5
    for ensemble in ensembles:
        expected = structure_of(ensemble.molecule)
        for conformer in ensemble.conformers:
            x = conformer.coordinates
            assert (x.shape, x.dtype) == (expected.shape, np.float32)
            distance = [np.linalg.norm(y[:, None] - y[None], axis=-1) for y in (x, expected)]
            np.testing.assert_allclose(distance[0], distance[1], atol=1e-3)


def starts_left(x):
    """A property of the noise that about half of all seeds have."""
    return bool(x[0, 0] > 0)


def predicted_failure(model, molecule, seed):
    """Whether the path of a seed starts in the half that the oracle spoils."""
    batch = pad([molecule.features])
    noise = SeededNoise([seed], [molecule.num_atoms])
    return starts_left(start(model.prior, noise, batch.token_mask, batch.bonded, 1).x[0].numpy())


def test_failed_conformers_are_drawn_again_with_seeds_of_later_strides(model_of, oracle, molecule_of):
    subject = molecule_of(SUBJECT)
    model = model_of(oracle(subject, fails=starts_left))
    options = SampleOptions(steps=3, rounds=3)
    done, drawn = [], []
    (ensemble,) = generate(
        model, [subject], [12], [1000], options, on_done=done.append,
        on_structure=lambda draw, x, fault: drawn.append((draw.index, draw.attempt, draw.seed, fault)),
    )  # fmt: skip
    expected, kept = [], {}
    for attempt in range(3):
        for k in range(12):
            if k in kept:
                continue
            seed = 1000 + k + attempt * RETRY_STRIDE
            bad = predicted_failure(model, subject, seed)
            expected.append((k, attempt, seed, "broken_bond" if bad else None))
            if not bad:
                kept[k] = seed
    assert drawn == expected
    assert {attempt for _, attempt, _, _ in drawn} == {0, 1, 2}
    assert {c.index: c.seed for c in ensemble.conformers} == kept
    assert 0 < len(kept) < 12
    assert ensemble.status == "partial"
    assert ensemble.attempts == len(drawn)
    assert ensemble.first_pass == sum(attempt == 0 and fault is None for _, attempt, _, fault in drawn)
    assert [(p.reason, p.count) for p in ensemble.problems] == [("broken_bond", 12 - len(kept))]
    assert "bond" in ensemble.problems[0].detail
    assert sum(done) == 12


def test_every_try_starts_from_other_noise(model, molecule_of):
    drawn, _ = raw(model, [molecule_of(SUBJECT)], [1], [0], SampleOptions(steps=3, rounds=3))
    for attempt in (1, 2):
        assert np.abs(structure(drawn, attempt=attempt) - structure(drawn, attempt=attempt - 1)).max() > 0.1


def test_conformer_of_a_retry_is_made_again_by_its_seed(model_of, oracle, molecule_of):
    subject = molecule_of(SUBJECT)
    model = model_of(oracle(subject, fails=starts_left))
    (ensemble,) = generate(model, [subject], [12], [1000], SampleOptions(steps=3, rounds=3))
    late = [c for c in ensemble.conformers if c.seed > RETRY_STRIDE]
    assert late
    for conformer in late:
        (again,) = generate(model, [subject], [1], [conformer.seed], SampleOptions(steps=3, rounds=1))
        np.testing.assert_allclose(again.conformers[0].coordinates, conformer.coordinates, atol=1e-4)


def test_seeds_stay_within_what_json_holds(model_of, oracle, molecule_of):
    subject = molecule_of("C")
    drawn, _ = raw(model_of(oracle(subject)), [subject], [3], [MAX_SEED - 1], SampleOptions(steps=2))
    assert [seed for seed, _, _ in drawn.values()] == [MAX_SEED - 1, MAX_SEED, 0]


def test_problems_are_counted_by_reason(model_of, oracle, molecule_of, structure_of):
    right, mirrored, broken = molecule_of("C/C=C/C"), molecule_of(SUBJECT), molecule_of("CCO")
    knows = oracle(right, mirrored, broken)
    knows.learn(mirrored, -structure_of(mirrored))
    knows.learn(broken, 2 * structure_of(broken))
    ensembles = generate(
        model_of(knows), [right, mirrored, broken], [2, 3, 4], [0, 0, 0], SampleOptions(steps=3, rounds=2)
    )
    assert [e.status for e in ensembles] == ["ok", "failed", "failed"]
    assert [[(p.reason, p.count) for p in e.problems] for e in ensembles] == [
        [], [("wrong_stereo", 3)], [("broken_bond", 4)],
    ]  # fmt: skip
    assert [e.attempts for e in ensembles] == [2, 6, 8]


def test_network_that_is_not_finite_is_reported(model_of, oracle, molecule_of, structure_of):
    subject = molecule_of("CCO")
    knows = oracle(subject)
    knows.learn(subject, structure_of(subject) * np.nan)
    (ensemble,) = generate(model_of(knows), [subject], [2], [0], SampleOptions(steps=2, rounds=1))
    assert [(p.reason, p.count) for p in ensemble.problems] == [("not_finite", 2)]


def test_stop_reports_what_is_missing_and_keeps_what_is_done(model_of, oracle, molecule_of):
    small, large = molecule_of("C"), molecule_of(SUBJECT)
    knows = oracle(small, large)
    done = []
    ensembles = generate(
        model_of(knows), [large, small], [3, 2], [0, 0], SampleOptions(steps=4),
        should_stop=lambda: knows.calls >= 6, on_done=done.append,
    )  # fmt: skip
    assert [e.status for e in ensembles] == ["failed", "ok"]  # small molecules come first
    assert [(p.reason, p.count) for p in ensembles[0].problems] == [("stopped", 3)]
    assert ensembles[0].attempts == 0
    assert ensembles[1].problems == ()
    assert knows.calls == 6
    assert sum(done) == 2


def test_stop_before_anything_gives_nothing(model, molecule_of):
    (ensemble,) = generate(model, [molecule_of("C")], [2], [0], FAST, should_stop=lambda: True)
    assert (ensemble.status, ensemble.attempts) == ("failed", 0)
    assert [(p.reason, p.count) for p in ensemble.problems] == [("stopped", 2)]


def test_hopeless_molecule_is_given_up_after_twenty_tries(model_of, oracle, molecule_of):
    hopeless, fine = molecule_of(SUBJECT), molecule_of("CCO")
    knows = oracle(hopeless, fine)
    knows.learn(hopeless, 2 * knows.known[hopeless.features.pairs.astype(np.int64).tobytes()])
    for conformers, attempts in ((1, 5), (7, 21), (20, 20), (25, 25)):
        ensembles = generate(
            model_of(knows), [hopeless, fine], [conformers, 1], [0, 0], SampleOptions(steps=2, rounds=5)
        )
        assert ensembles[0].attempts == attempts
        assert [(p.reason, p.count) for p in ensembles[0].problems] == [("broken_bond", conformers)]
        assert ensembles[1].status == "ok"


def test_one_success_keeps_hope_alive(model_of, oracle, molecule_of):
    subject = molecule_of(SUBJECT)
    asked = count()
    model = model_of(oracle(subject, fails=lambda x: next(asked) != 0))
    (ensemble,) = generate(model, [subject], [25], [0], SampleOptions(steps=2, rounds=3))
    assert (ensemble.attempts, len(ensemble.conformers)) == (25 + 24 + 24, 1)


@pytest.mark.parametrize("conformers", [3, 25])
def test_settled_counts_add_up_when_everything_fails(model_of, oracle, molecule_of, conformers):
    subject = molecule_of("CCO")
    done = []
    model = model_of(oracle(subject, fails=lambda x: True))
    generate(model, [subject], [conformers], [0], SampleOptions(steps=2, rounds=2), on_done=done.append)
    assert sum(done) == conformers


def test_faults_of_every_draw_are_told(model, molecule_of):
    subject = molecule_of(SUBJECT)
    drawn, (ensemble,) = raw(model, [subject], [6], [0], SampleOptions(steps=5, rounds=2))
    assert len(drawn) == ensemble.attempts
    faults = Counter(drawn[0, p, max(a for _, k, a in drawn if k == p)][2] for p in range(6))
    assert faults == Counter({p.reason: p.count for p in ensemble.problems})


def test_nothing_asked_is_nothing_done(model, molecule_of):
    assert generate(model, [], [], [], FAST) == []
    (ensemble,) = generate(model, [molecule_of("C")], [0], [0], FAST)
    assert (ensemble.status, ensemble.conformers, ensemble.problems, ensemble.attempts) == ("ok", (), (), 0)


@pytest.mark.parametrize("smiles", ["[Cl-]", "[H][H]", "N#N"])
def test_tiny_molecules_are_sampled(model_of, oracle, molecule_of, smiles):
    molecule = molecule_of(smiles)
    (ensemble,) = generate(model_of(oracle(molecule)), [molecule], [2], [0], SampleOptions(steps=3))
    assert ensemble.status == "ok"


def test_options_that_the_model_cannot_follow_are_refused(model, molecule_of):
    with pytest.raises(SamplerError, match="no exact score"):
        generate(model, [molecule_of("C")], [1], [0], SampleOptions(kind="sde"))
    with pytest.raises(SamplerError, match="unknown schedule 'odd'; allowed: uniform, quadratic, log"):
        generate(model, [molecule_of("C")], [1], [0], SampleOptions(schedule="odd"))


WARM = build_options("etkdg", rounds=1)


def test_warm_start_with_a_perfect_network_returns_its_structure(oracle, model_of, molecule_of):
    molecule = molecule_of(SUBJECT)
    module = oracle(molecule)
    for begin in (0.3, 0.999):
        module.factor = torch.ones(1)
        drawn, (ensemble,) = raw(model_of(module), [molecule], [1], [4], build_options("etkdg", start_time=begin))
        assert ensemble.status == "ok"
        known = torch.from_numpy(module.known[molecule.features.pairs.astype(np.int64).tobytes()])[None]
        x = torch.from_numpy(structure(drawn))[None]
        assert rmsd(x, known.to(x), torch.ones(1, molecule.num_atoms, dtype=torch.bool)) < 1e-3


def test_warm_start_stays_near_its_guess_when_little_is_left(model, molecule_of):
    molecule = molecule_of("OCCN")
    options = build_options("etkdg", start_time=0.9999, rounds=1)
    drawn, _ = raw(model, [molecule], [1], [4], options)
    (guess,) = embed_guesses(molecule, [4])
    near, guess = torch.from_numpy(structure(drawn))[None], torch.from_numpy(guess)[None].float()
    assert rmsd(near, guess, torch.ones(1, molecule.num_atoms, dtype=torch.bool)) < 0.05


def test_warm_structure_does_not_depend_on_batch_mates(model, mates, molecule_of):
    subject = molecule_of(SUBJECT)
    alone, _ = raw(model, [subject], [1], [11], WARM)
    together, _ = raw(model, [*mates[:9], subject, *mates[9:20]], [1] * 21, [*range(9), 11, *range(11)], WARM)
    np.testing.assert_allclose(structure(together, molecule=9), structure(alone), atol=1e-5)


def test_warm_conformer_of_a_seed_is_the_first_of_a_later_seed(model, molecule_of):
    subject = molecule_of(SUBJECT)
    many, _ = raw(model, [subject], [3], [11], WARM)
    one, _ = raw(model, [subject], [1], [13], WARM)
    np.testing.assert_allclose(structure(many, index=2), structure(one), atol=1e-5)


def test_molecule_without_a_guess_is_sampled_from_noise_and_says_so(oracle, model_of, molecule_of):
    good, bad = molecule_of(SUBJECT), molecule_of("CCO")
    module = oracle(good, bad)
    module.factor = torch.ones(1)
    asked = []

    def guesser(molecules, seeds, check_stop, recipe):
        asked.extend(seed for own in seeds for seed in own)
        found = guess_all(molecules, seeds, check_stop, recipe)
        return [[None] * len(own) if m is bad else own for m, own in zip(molecules, found, strict=True)]

    options = build_options("etkdg", rounds=2)
    ensembles = generate(model_of(module), [bad, good], [2, 2], [0, 10], options, guesser=guesser)
    assert [e.status for e in ensembles] == ["ok", "ok"]
    assert ensembles[0].molecule.notes[-1].startswith("conformers sampled from noise")
    assert ensembles[0].molecule.notes[-1].endswith(": 2")
    assert [*map(len, (ensembles[0].problems, ensembles[1].problems, ensembles[1].molecule.notes))] == [0, 0, 0]
    assert sorted(asked) == [0, 1, 10, 11]
    alone = generate(model_of(module), [bad], [2], [0], SampleOptions())[0]
    for mine, other in zip(ensembles[0].conformers, alone.conformers, strict=True):
        np.testing.assert_allclose(mine.coordinates, other.coordinates, atol=1e-4)


def test_stop_is_asked_while_guesses_are_made(model, molecule_of):
    asked = []

    def should_stop():
        asked.append(True)
        return len(asked) == 2

    def guesser(molecules, seeds, check_stop, recipe):
        guess_all(molecules, seeds, check_stop, recipe)
        raise AssertionError("the guesses of the second molecule should not have been made")

    molecules = [molecule_of("CCO"), molecule_of("CCN")]
    ensembles = generate(model, molecules, [3, 3], [1, 1], WARM, should_stop=should_stop, guesser=guesser)
    assert [[(p.reason, p.count) for p in e.problems] for e in ensembles] == [[("stopped", 3)]] * 2


def test_relaxed_start_begins_at_the_lowest_of_its_guesses(model, molecule_of):
    molecule, asked = molecule_of("OCC(N)CO"), []

    def guesser(molecules, seeds, check_stop, recipe):
        asked.append(recipe)
        return guess_all(molecules, seeds, check_stop, recipe)

    options = build_options("mmff94s", start_time=0.9999, tries=4, rounds=1)
    drawn = {}
    generate(
        model, [molecule], [1], [4], options,
        on_structure=lambda draw, x, fault: drawn.update(x=x.copy()), guesser=guesser,
    )  # fmt: skip
    assert asked == [Recipe(relax=True, tries=4)]
    (best,) = make_guesses(molecule, [4], Recipe(relax=True, tries=4))
    near, best = torch.from_numpy(drawn["x"])[None], torch.from_numpy(best)[None].float()
    assert rmsd(near, best, torch.ones(1, molecule.num_atoms, dtype=torch.bool)) < 0.05
