"""What an experiment on symmetry trains and measures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from models.errors import DataError
from models.experiments.arms import Arm, find_arms
from models.training.config import TrainConfig, read_config

CLOCKS = ("wall", "cpu")


@dataclass(frozen=True)
class Plan:
    """What is trained and measured, besides the data.

    Attributes:
        arms: The arms.
        seeds: Of the trainings.
        config: The training that all arms share.
        steps: Sampler steps of the ODE.
        sde_steps: Sampler steps of the SDE.
        turns: Parts of each training.
        clock: `wall` or `cpu`, what a second of training is.
        threads: CPU threads.
    """

    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    config: TrainConfig
    steps: int
    sde_steps: int
    turns: int
    clock: str
    threads: int

    def __post_init__(self) -> None:
        """Refuse what cannot be compared."""
        if self.clock not in CLOCKS:
            raise DataError(f"clock is {self.clock!r}; allowed: {', '.join(CLOCKS)}")
        if self.clock == "cpu" and self.threads != 1:
            raise DataError(
                f"clock 'cpu' counts all threads together; use 1 thread, not {self.threads}, or clock 'wall'"
            )
        if self.config.budget_s <= 0:
            raise DataError(f"the budget is {self.config.budget_s} s; give seconds above 0")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise DataError(f"seeds are {self.seeds}; give one or more, each once")

    @property
    def automorphisms(self) -> int:
        """Most automorphisms that any arm needs."""
        return max(arm.automorphisms for arm in self.arms)

    @property
    def runs(self) -> list[tuple[Arm, int]]:
        """Every training, in the order of their turns."""
        return [(arm, seed) for seed in self.seeds for arm in self.arms]


def build_plan(
    config: Path,
    arms: list[str],
    seeds: str,
    budget_s: float | None,
    max_atoms: int,
    steps: int,
    sde_steps: int,
    turns: int,
    clock: str,
    threads: int,
) -> Plan:
    """Plan from the words of the command line; see `Plan`.

    Raises:
        DataError: An unknown arm or clock, or seeds that are not whole numbers.
    """
    try:
        numbers = tuple(int(part) for part in seeds.split(",") if part.strip())
    except ValueError:
        raise DataError(f"--seeds is {seeds!r}; give whole numbers with commas between, such as 0,1") from None
    base = read_config(config)
    sizes = (*(size for size in base.bucket_sizes if size < max_atoms), max_atoms)
    base = replace(base, bucket_sizes=sizes, budget_s=base.budget_s if budget_s is None else budget_s)
    return Plan(find_arms(arms), numbers, base, steps, sde_steps, turns, clock, threads)
