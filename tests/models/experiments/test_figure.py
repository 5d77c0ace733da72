from models.experiments.figure import draw_errors


def test_figure_has_a_line_for_each_run_and_a_name_for_each_arm():
    curve = [{"elapsed_s": 1.0, "own": 2.0, "free": 3.0}, {"elapsed_s": 2.0, "own": 1.0, "free": 2.0}]
    runs = [{"arm": arm, "seed": seed, "curve": curve} for arm in ("plain", "quotient") for seed in (3, 4)]
    figure = draw_errors(runs)
    for axis, key in zip(figure.axes, ("own", "free"), strict=True):
        assert len(axis.lines) == 4
        assert axis.lines[0].get_ydata().tolist() == [point[key] for point in curve]
        assert axis.lines[0].get_color() == axis.lines[1].get_color() != axis.lines[2].get_color()
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["plain", "quotient"]
