"""What the engine is doing, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import exp
from time import monotonic
from typing import Any

_MEMORY_S = 30.0  # older events hardly count in rates
_SMOOTH = 0.1  # weight of the newest step in the averages


@dataclass(frozen=True)
class EngineStats:
    """One moment of the engine.

    Attributes:
        state: As `/readyz` says it.
        waiting_tickets: Tickets of which some draw never reached the sampler.
        waiting_draws: Draws that are not on the device, guesses in the making included.
        running_tickets: Tickets that have reached the sampler.
        running_rows: Rows on the device.
        batches: Batches they are in.
        step_s: Mean time of a step, s.
        batch_fill: Mean share of the places of a batch that are taken.
        conformers_per_s: Conformers with a verdict per second, over half a minute.
        left_s: Device time of all that was asked for and has no verdict, by the measured pace, s.
        heartbeat_age_s: Time since the worker's last sign of life, s; 0 while it has nothing to do.
        restarts: How often the worker was replaced.
        steps: Steps made in all.
        conformers: Good conformers in all.
        faults: Draws that failed, by reason, in all.
        out_of_memory: Batches that did not fit into memory, in all.
    """

    state: str = "loading"
    waiting_tickets: int = 0
    waiting_draws: int = 0
    running_tickets: int = 0
    running_rows: int = 0
    batches: int = 0
    step_s: float = 0.0
    batch_fill: float = 0.0
    conformers_per_s: float = 0.0
    left_s: float = 0.0
    heartbeat_age_s: float = 0.0
    restarts: int = 0
    steps: int = 0
    conformers: int = 0
    faults: Mapping[str, int] = field(default_factory=dict)
    out_of_memory: int = 0


class Meter:
    """Counts and moving averages."""

    def __init__(self) -> None:
        self.steps = self.conformers = self.out_of_memory = 0
        self.faults: Counter[str] = Counter()
        self.step_s = self.fill = 0.0
        self.pace = 1.0  # measured time of a step over the expected one
        self._level, self._at, self._began = 0.0, monotonic(), monotonic()

    def step(self, seconds: float, expected_s: float, fill: float) -> None:
        """A step was made."""
        weight = 1.0 if not self.steps else _SMOOTH
        self.steps += 1
        self.step_s += weight * (seconds - self.step_s)
        self.fill += weight * (fill - self.fill)
        self.pace += weight * (seconds / expected_s - self.pace)

    def settle(self, verdicts: int, faults: list[str | None]) -> None:
        """Structures were checked, and some conformers got their verdict."""
        self.conformers += faults.count(None)
        self.faults.update(fault for fault in faults if fault is not None)
        self._level = self._decayed() + verdicts
        self._at = monotonic()

    @property
    def conformers_per_s(self) -> float:
        """Verdicts per second."""
        seen = 1 - exp(-(monotonic() - self._began) / _MEMORY_S)
        return self._decayed() / (_MEMORY_S * max(seen, 1e-3))

    def snapshot(self, **moment: Any) -> EngineStats:
        """The numbers, with those of the moment that only the engine knows."""
        return EngineStats(
            step_s=self.step_s,
            batch_fill=self.fill,
            conformers_per_s=self.conformers_per_s,
            steps=self.steps,
            conformers=self.conformers,
            faults=dict(self.faults),
            out_of_memory=self.out_of_memory,
            **moment,
        )

    def _decayed(self) -> float:
        return self._level * exp(-(monotonic() - self._at) / _MEMORY_S)
