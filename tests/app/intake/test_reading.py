import pytest

from app.intake.job import Loss
from app.intake.reading import Reading, Refusal


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
