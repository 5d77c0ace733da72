"""Figures of the service and what is asked of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

from rich.table import Table

from app.commands.bench_siege import HOSTILE_S, Kept, Siege


@dataclass(frozen=True)
class Bar:
    """One figure: what was measured, and what is asked of it.

    Attributes:
        name: What it is.
        value: Measured.
        must: Bound.
        aim: What would be good.
        least: Whether larger is better.
    """

    name: str
    value: float
    must: float
    aim: float
    least: bool = True

    @property
    def verdict(self) -> str:
        """`aim`, `must` or `missed`."""
        met = [self.value >= bound if self.least else self.value <= bound for bound in (self.aim, self.must)]
        return "aim" if met[0] else "must" if met[1] else "missed"


def to_bars(rounds: list[dict[str, Any]]) -> list[Bar]:
    """Medians of the ratios of each round."""

    def middle(ratio: Callable[[dict[str, Any]], float]) -> float:
        return median(map(ratio, rounds))

    return [
        Bar(
            "structures/s through HTTP / bare sampler",
            middle(lambda r: r["http_conformers_per_s"] / r["bare_conformers_per_s"]), 0.90, 0.97,
        ),
        Bar(
            "p99 of one conformer beside a bulk job / idle",
            middle(lambda r: r["beside_bulk_s"]["p99"] / r["idle_s"]["p99"]), 3.0, 1.5, least=False,
        ),
        Bar(
            f"{rounds[0]['clients']} requests together / one at a time",
            middle(lambda r: r["together_per_s"] / r["one_at_a_time_per_s"]), 2.0, 4.0,
        ),
        Bar("/healthz per second while saturated", middle(lambda r: r["healthz_per_s"]), 300.0, 1000.0),
    ]  # fmt: skip


def to_hostile_bars(siege: Siege) -> list[Bar]:
    """Hostile molecules that were answered in time, what they cost their neighbours, and whether the service lives."""
    good = [status < 500 and seconds <= HOSTILE_S for status, seconds in siege.answers]
    served = [ok for ok, _ in siege.neighbours]
    slower = median(s for _, s in siege.neighbours) / median(siege.alone_s)
    return [
        Bar("hostile inputs answered in time", sum(good) / len(good), 1.0, 1.0),
        Bar("requests beside them that were served", sum(served) / len(served), 1.0, 1.0),
        Bar("median of requests beside them / alone", slower, 2.0, 1.5, least=False),
        Bar("service ready after them", float(siege.ready), 1.0, 1.0),
    ]


def to_kill_bars(kept: Kept) -> list[Bar]:
    """What kills cost."""
    return [Bar(f"conformers lost or doubled over {kept.kills} kills", kept.lost + kept.doubled, 0.0, 0.0, least=False)]


def to_table(bars: list[Bar]) -> Table:
    """For people."""
    table = Table("figure", "measured", "must", "aim", "met")
    for bar in bars:
        table.add_row(bar.name, f"{bar.value:.2f}", f"{bar.must:g}", f"{bar.aim:g}", bar.verdict)
    return table


def to_markdown(bars: list[Bar]) -> str:
    """For documents."""
    lines = ["| figure | measured | must | aim | met |", "|---|---|---|---|---|"]
    lines += [f"| {bar.name} | {bar.value:.2f} | {bar.must:g} | {bar.aim:g} | {bar.verdict} |" for bar in bars]
    return "\n".join(lines) + "\n"
