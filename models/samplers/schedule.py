"""Time grids: maps from the share of steps done to time, both from 0 to 1.

A schedule is a function of the share and not a list, so that items with different step counts fit in one batch.
"""

from collections.abc import Callable

from torch import Tensor

from models.errors import SamplerError

Schedule = Callable[[Tensor], Tensor]

_LOG_SPAN = 100.0  # first step of the log grid over its last, Proteina's t = 1 - logspace(-2, 0)


def uniform(share: Tensor) -> Tensor:
    """Equal steps."""
    return share


def logarithmic(share: Tensor) -> Tensor:
    """Large steps first, small ones near the data: t = 1 - logspace, rescaled to [0, 1]."""
    return (1 - _LOG_SPAN ** (-share)) / (1 - 1 / _LOG_SPAN)


def quadratic(share: Tensor) -> Tensor:
    """Steps that shrink linearly towards the data, t = 1 - (1 - u)^2."""
    return 1 - (1 - share).square()


SCHEDULES: dict[str, Schedule] = {"uniform": uniform, "quadratic": quadratic, "log": logarithmic}


def build_schedule(name: str) -> Schedule:
    """Schedule by name."""
    if name not in SCHEDULES:
        raise SamplerError(f"unknown schedule {name!r}; allowed: {', '.join(SCHEDULES)}")
    return SCHEDULES[name]
