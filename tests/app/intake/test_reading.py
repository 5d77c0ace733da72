import pytest

from app.intake.job import Loss
from app.intake.reading import Reading, Refusal
from models.data.elements import MAX_ATOMS


@pytest.mark.parametrize(
    ("loss", "many", "reason", "words"),
    [
        (Loss("late", "5 s"), 1, "too_complex", "took more than 5 s; simplify the molecule"),
        (Loss("late", "20 s"), 8, "too_complex", "took more than 20 s; specify more of its stereo"),
        (Loss("memory", "3000 MB"), 1, "too_complex", "took more than 3000 MB of memory"),
        (Loss("died"), 1, "too_complex", "ended its process; simplify the molecule"),
        (Loss("error", "KeyError: 'x'"), 1, "unreadable", "cannot be read: KeyError: 'x'"),
        (Loss("unavailable"), 1, "intake_unavailable", "did not start; try again"),
    ],
    ids=lambda value: value.reason if isinstance(value, Loss) else "",
)
def test_reading_that_is_lost_is_a_refusal_in_words(loss, many, reason, words):
    refusal = Reading("smiles", "C", "", 0, many).lost(loss)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == reason
    assert words in refusal.detail


def test_reading_has_more_time_for_many_stereoisomers():
    assert [Reading("smiles", "C", "", 0, many).patience for many in (1, 2, 8)] == [1, 1, 4]


@pytest.mark.parametrize(
    ("kind", "text", "rings"),
    [
        ("smiles", "CCO", 0),
        ("smiles", "C[N+]1(C)CC[13CH2]C1c2ccccc2", 2),
        ("smiles", "C%10CC%10C1CC1", 2),
        ("smiles", "C1CC1" * 10**6, 400),  # of the part that is looked at
        ("molblock", "\n  x\n\n 20 25  0  0  0  0  0  0  0  0999 V2000\n", 6),
        ("molblock", "\n\n\n  0  0  0     0  0            999 V3000\nM  V30 BEGIN CTAB\nM  V30 COUNTS 9 10 0 0 0\n", 2),
        ("molblock", f"\nM  V30 COUNTS {'9' * 5000} 1 0\n", 0),
        ("molblock", "no block", 0),
    ],
)
def test_rings_are_counted_by_a_look_at_the_text(kind, text, rings):
    assert Reading(kind, text, "", 0).rings == rings


@pytest.mark.parametrize(
    ("kind", "text", "least", "most"),
    [
        ("smiles", "CC(F)CO", 5, 15),
        ("smiles", "C[C@H](N)C(=O)O", 6, 20),
        ("smiles", "C" * 10**6, MAX_ATOMS, MAX_ATOMS),
        ("smiles", "1" * 50, 0, 0),
        ("molblock", "\n  x\n\n" + "a\n" * 20 + "b\n" * 21, 40, 50),
    ],
)
def test_atoms_are_guessed_by_a_look_at_the_text(kind, text, least, most):
    assert least <= Reading(kind, text, "", 0).rough_atoms <= most


def test_text_with_many_rings_has_little_time(hard):
    assert Reading("smiles", hard, "", 0, 8).patience < 1
