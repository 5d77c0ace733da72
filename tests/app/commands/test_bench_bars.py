import pytest

from app.commands.bench_bars import Bar, to_bars, to_hostile_bars, to_kill_bars, to_markdown, to_table
from app.commands.bench_siege import Kept, Siege

FIGURES = {
    "clients": 64,
    "http_conformers_per_s": 9.5, "bare_conformers_per_s": 10.0, "one_at_a_time_per_s": 2.0, "together_per_s": 3.0,
    "idle_s": {"p99": 0.5}, "beside_bulk_s": {"p99": 0.7}, "healthz_per_s": 400.0,
}  # fmt: skip


def test_bars_are_ratios_with_a_verdict():
    faster = FIGURES | {"http_conformers_per_s": 9.7}
    bars = to_bars([FIGURES, faster, FIGURES | {"http_conformers_per_s": 1.0}])  # medians of ratios
    assert [round(bar.value, 3) for bar in bars] == [0.95, 1.4, 1.5, 400.0]
    assert [bar.verdict for bar in bars] == ["must", "aim", "missed", "must"]
    assert to_table(bars).row_count == 4
    assert (
        to_markdown(bars).splitlines()[2] == "| structures/s through HTTP / bare sampler | 0.95 | 0.9 | 0.97 | must |"
    )


def test_hostile_molecules_must_all_be_answered_in_time():
    siege = Siege(
        [(200, 0.1), (422, 9.0), (500, 0.1), (200, 11.0)],
        [(True, 0.1), (True, 0.2), (False, 0.3), (True, 0.6)],
        [0.05, 0.1, 0.9],
        False,
    )
    found = [(bar.value, bar.verdict) for bar in to_hostile_bars(siege)]
    assert found == [(0.5, "missed"), (0.75, "missed"), (2.5, "missed"), (0.0, "missed")]
    good = Siege([(200, 0.1)], [(True, 0.1)], [0.1], True)
    assert [bar.verdict for bar in to_hostile_bars(good)] == ["aim"] * 4


@pytest.mark.parametrize(("lost", "doubled", "verdict"), [(0, 0, "aim"), (1, 0, "missed"), (0, 1, "missed")])
def test_kills_may_cost_nothing(lost, doubled, verdict):
    (bar,) = to_kill_bars(Kept(7, lost, doubled))
    assert (bar.value, bar.verdict) == (lost + doubled, verdict)
    assert "7 kills" in bar.name


@pytest.mark.parametrize(("value", "verdict"), [(1.5, "aim"), (1.6, "must"), (3.0, "must"), (3.1, "missed")])
def test_bar_may_ask_for_little(value, verdict):
    assert Bar("x", value, 3.0, 1.5, least=False).verdict == verdict
