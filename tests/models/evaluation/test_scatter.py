import pytest

from models.evaluation.baseline import EMBEDDED, RELAXED
from models.evaluation.scatter import draw_scatter


def points(axis):
    """Places of the marks on one panel, by label."""
    return {bars.get_label(): list(zip(*bars.lines[0].get_data(), strict=True)) for bars in axis.containers}


def test_points_stand_at_time_and_quality(benchmark_record):
    figure = draw_scatter(benchmark_record)
    found = points(figure.axes[3])
    assert figure.axes[3].get_ylabel() == "AMR-P, Å" and figure.axes[3].get_xlabel() == "core-seconds per conformer"
    assert found[EMBEDDED] == [pytest.approx((0.2, 0.4))]
    # One line of points by steps: core-seconds over 6 conformers, and the mean over two molecules.
    assert found["from ETKDG"] == [pytest.approx((0.6, 0.2)), pytest.approx((0.8, 0.1))]
    assert [note.get_text() for note in figure.axes[3].texts] == ["5", "5", "10"]


def test_coverage_is_in_percent_at_the_main_threshold(benchmark_record):
    axis = draw_scatter(benchmark_record).axes[0]
    assert axis.get_ylabel() == "COV-R < 0.5 Å, %"
    assert points(axis)["from noise"] == [pytest.approx((1.5, 50.0))]


def test_wall_time_counts_on_a_gpu(benchmark_record):
    benchmark_record["machine"]["device"] = "cuda"
    axis = draw_scatter(benchmark_record).axes[0]
    assert axis.get_xlabel() == "seconds per conformer"
    assert points(axis)["from noise"] == [pytest.approx((0.75, 50.0))]


def test_rows_without_samples_are_left_out_and_keep_the_colours(benchmark_record):
    full = draw_scatter(benchmark_record).axes[0].containers[-1].lines[0].get_color()
    one = benchmark_record["sets"][0]
    one["rows"][1]["molecules"][0] = {**one["rows"][1]["molecules"][1], "recall_ang": [None, None]}
    axis = draw_scatter(benchmark_record).axes[0]
    assert RELAXED not in points(axis)
    assert axis.containers[-1].lines[0].get_color() == full


def test_each_set_has_a_line_of_panels_and_one_legend(benchmark_record):
    figure = draw_scatter({**benchmark_record, "sets": benchmark_record["sets"] * 2})
    assert len(figure.axes) == 8
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [EMBEDDED, RELAXED, "from noise", "from ETKDG"]
