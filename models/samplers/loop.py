"""The plain loop over `advance`, for one batch that starts and ends together."""

from collections.abc import Callable

from torch import Tensor

from models.samplers.schedule import Schedule
from models.samplers.state import SamplerState, advance
from models.samplers.steps import Denoise, Step


def sample(
    denoise: Denoise,
    state: SamplerState,
    step: Step,
    schedule: Schedule,
    on_step: Callable[[SamplerState], None] = lambda state: None,
) -> Tensor:
    """Run a batch to the end.

    Args:
        denoise: Guess of the clean structure, `denoise(x, t)`.
        state: Where the paths are.
        step: One of `models.samplers.steps`.
        schedule: Time grid.
        on_step: Called after each step; may raise to stop.

    Returns:
        Coordinates at t = 1, Å.  [B, N, 3]
    """
    for _ in range(int((state.total - state.done).max())):
        state = advance(state, denoise, step, schedule)
        on_step(state)
    return state.x
