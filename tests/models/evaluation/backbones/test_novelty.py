import numpy as np
import pytest

from models.evaluation.backbones.chains import Group, natives
from models.evaluation.backbones.novelty import WORD, build_library, nearest, search, spell, words_of


@pytest.fixture(scope="module")
def library(backbones):
    return build_library(natives("all", backbones, np.ones(len(backbones), bool)))


def test_chain_finds_itself_wherever_it_is(library, turned):
    for number in (2, 12):
        found = nearest(library, turned(library.chains.chains[number]))
        assert found.number == number and found.tm == pytest.approx(1.0, abs=1e-3)


def test_part_with_noise_finds_its_chain(library):
    part = library.chains.chains[2][20:70] + np.random.default_rng(0).normal(0, 0.1, (50, 4, 3))
    (found,) = search(library, [part])
    assert found.number == 2 and found.tm > 0.9


def test_mirror_image_has_no_near_neighbour(library):
    assert nearest(library, library.chains.chains[2] * [-1, 1, 1]).tm < 0.7


def test_letters_do_not_change_with_place(some, turned):
    letters = spell(some.chains[0])
    assert letters.shape == (64,) and letters.max() < 20
    assert (letters == spell(turned(some.chains[0]))).mean() > 0.95


def test_words_are_different_and_found_again():
    letters = np.array([1, 2, 3, 4, 1, 2, 3, 4, 5], np.uint8)
    words = words_of(letters)
    assert len(words) == 5 and words.max() < 20**WORD
    assert set(words_of(letters[:4])) <= set(words)


def test_words_that_all_chains_have_weigh_nothing(some):
    twins = build_library(Group("twins", (some.chains[0],) * 3))
    assert twins.rarity[twins.words].max() == 0
    assert nearest(twins, some.chains[0]).tm == pytest.approx(1.0, abs=1e-3)
