import numpy as np

from models.evaluation.backbones.gallery import draw_gallery


def helix(count, hand):
    turn = np.radians(100) * np.arange(count) * hand
    alpha = np.stack((2.3 * np.cos(turn), 2.3 * np.sin(turn), 1.5 * np.arange(count)), 1)
    return np.repeat(alpha[:, None], 4, axis=1)


def colours(figure, number):
    return np.array(figure.axes[number].collections[0].get_colors())[:, :3]


def test_helices_are_red_and_each_chain_has_its_place():
    figure = draw_gallery([helix(20, 1), helix(30, 1), helix(12, 1)], ["a", "b", "c"], columns=2)
    assert [axis.get_title() for axis in figure.axes] == ["a", "b", "c", ""]
    middle = colours(figure, 1)[40:-40]
    assert (middle[:, 0] > middle[:, 2] + 0.1).mean() > 0.8
