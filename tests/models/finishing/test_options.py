import pytest

from models.errors import FinishError
from models.finishing.options import FinishOptions


def test_nothing_is_done_unless_it_is_asked_for():
    assert not FinishOptions()
    assert FinishOptions().method is None
    for options in (FinishOptions(relax="mmff94s"), FinishOptions(energies="mmff94s"), FinishOptions(prune_rmsd=0.5)):
        assert options


def test_relaxing_brings_its_energies():
    assert FinishOptions(relax="mmff94s", rank=True, energy_window=6.0).method == "MMFF94s"
    assert FinishOptions(energies="mmff94s", rank=True).method == "MMFF94s"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"relax": "uff"}, "relax is 'uff'; allowed: mmff94s, or nothing"),
        ({"energies": "MMFF94s"}, "energies is 'MMFF94s'; allowed: mmff94s"),
        ({"relax": ""}, "relax is ''"),
        ({"prune_rmsd": 0.0}, "prune_rmsd is 0; allowed: above 0 to 10 Å"),
        ({"prune_rmsd": -1.0}, "prune_rmsd is -1"),
        ({"prune_rmsd": 10.5}, "prune_rmsd is 10.5"),
        ({"prune_rmsd": float("nan")}, "prune_rmsd is nan"),
        ({"relax": "mmff94s", "energy_window": 0.0}, "energy_window is 0; allowed: above 0 to 1000 kcal/mol"),
        ({"relax": "mmff94s", "energy_window": float("inf")}, "energy_window is inf"),
        ({"rank": True}, "rank needs energies and none are asked for; add energies or relax, or drop rank"),
        ({"energy_window": 6.0, "prune_rmsd": 0.1}, "energy_window needs energies"),
    ],
)
def test_options_that_cannot_be_done_are_refused_in_words(fields, words):
    with pytest.raises(FinishError) as caught:
        FinishOptions(**fields)
    assert words in str(caught.value)
    assert caught.value.reason == "invalid_finish"
