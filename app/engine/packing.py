"""Who is next: pure functions of sizes, ages, priorities and a budget.

Two rules, and neither lets anyone starve.  Draws of different tickets begin in the order of virtual time (weighted fair
queueing): a ticket enters with the time of the moment and moves on by the device time of each draw it is given, so one
that has waited is behind in virtual time and therefore next, and a large one leaves room for those that come later.
Batches of brief and of bulk work share the device's time step by step, so a brief request never waits for a bulk job to
end, and a bulk job always moves on.

Source:
    Parekh, Gallager: A generalized processor sharing approach to flow control, IEEE/ACM Trans. Networking 1993.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

WEIGHT = 4.0  # of one priority over the next
MAX_PRIORITY = 8  # weights stay within what floats add up exactly enough
BRIEF_SHARE = 0.8  # of the device's time, while there is work of both sorts
SIZES = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256)  # tokens; draws of one size share batches


@dataclass(frozen=True)
class Flow:
    """Draws of one ticket that could begin in the same batch.

    Attributes:
        draws: How many.
        cost_s: Device time of one, s.
        tag_s: Virtual time of the ticket, s.
        priority: Of the ticket.
    """

    draws: int
    cost_s: float
    tag_s: float
    priority: int = 0

    @property
    def weight(self) -> float:
        """Share of the ticket where it competes."""
        return WEIGHT ** max(-MAX_PRIORITY, min(self.priority, MAX_PRIORITY))

    def after(self, begun: int) -> float:
        """Virtual time of the ticket when so many of its draws have begun, s."""
        return self.tag_s + begun * self.cost_s / self.weight


def pack(flows: Sequence[Flow], room: int) -> list[int]:
    """How many draws of each flow begin now.

    Args:
        flows: Those that wait for a place in one batch, oldest first.
        room: Places.

    Returns:
        A number for each flow.  All places are filled as long as there are draws; each goes to the flow that is least
        in virtual time, and to the oldest of equals.
    """
    begun = [0] * len(flows)
    heap = [(flow.tag_s, k) for k, flow in enumerate(flows) if flow.draws]
    heapq.heapify(heap)
    for _ in range(room):
        if not heap:
            break
        _, k = heap[0]
        begun[k] += 1
        if begun[k] < flows[k].draws:
            heapq.heapreplace(heap, (flows[k].after(begun[k]), k))
        else:
            heapq.heappop(heap)
    return begun


def moved_on(clock_s: float, cost_s: float, weight: float) -> float:
    """Virtual time at which tickets enter, after some draws have begun, s.

    It goes at the rate that each ticket would have if the device served all at once, by their weights.  So those who
    wait fall behind those who come, and a stream of newcomers cannot keep them waiting.

    Args:
        clock_s: Before.
        cost_s: Device time of the draws that begin, s.
        weight: Of all tickets that wait, in whichever batch.
    """
    return clock_s + cost_s / weight


@dataclass(frozen=True)
class Turn:
    """One batch that could make a step.

    Attributes:
        brief: Whether it is of brief work.
        used_s: Device time that it has had, s; see `entry_s` for where it begins.
    """

    brief: bool
    used_s: float


@dataclass
class Shares:
    """Device time that brief and bulk batches have had, by their shares, s.

    Attributes:
        credit_s: What brief batches save up while there are none, so that one who comes now and then is not held up by
            the long steps of bulk batches; these save up nothing.
    """

    credit_s: float = 0.0
    brief_s: float = 0.0
    bulk_s: float = 0.0

    def choose(self, turns: Sequence[Turn]) -> int:
        """Which batch makes the next step: of the sort that is behind its share, the one that had the least time."""
        sorts = {turn.brief for turn in turns}
        if sorts == {True}:
            self.bulk_s = max(self.bulk_s, self.brief_s)
        elif sorts == {False}:
            self.brief_s = max(self.brief_s, self.bulk_s - self.credit_s)
        brief = True in sorts and (len(sorts) == 1 or self.brief_s <= self.bulk_s)
        return min((turn.used_s, k) for k, turn in enumerate(turns) if turn.brief == brief)[1]

    def charge(self, brief: bool, seconds: float) -> None:
        """Count a step."""
        if brief:
            self.brief_s += seconds / BRIEF_SHARE
        else:
            self.bulk_s += seconds / (1 - BRIEF_SHARE)


def entry_s(brief: bool, turns: Sequence[Turn]) -> float:
    """Where the count of a new batch begins: level with the one that had the least, s."""
    return min((turn.used_s for turn in turns if turn.brief == brief), default=0.0)


def size_of(tokens: int) -> int:
    """The size of batches that take a molecule; larger than the largest goes by itself."""
    return next((size for size in SIZES if tokens <= size), tokens)
