"""What one training step costs: floating-point operations, seconds, and the machine's ceiling."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from models.networks.denoiser import DenoiserConfig
from models.networks.preconditioning import PreconditionedDenoiser
from models.structure import PaddedBatch
from models.training.config import TrainConfig
from models.training.ema import WeightAverage
from models.training.loop import build_optimizers
from models.training.loss import denoising_loss

_WARM_UP = 2  # steps that set up kernels and optimiser state
_LARGE = {"cpu": 2048, "cuda": 8192}  # rows of a matrix whose product takes much longer than its launch


@dataclass(frozen=True)
class TrainingCost:
    """One size bucket.

    Attributes:
        size: Padded tokens of a structure.
        batch: Structures in a step.
        flops: Floating-point operations of matrix products in one step, the share of steps that guess first included.
        step_s: Median time of one step, optimiser included, s.
    """

    size: int
    batch: int
    flops: float
    step_s: float

    @property
    def flops_per_s(self) -> float:
        """Achieved floating-point operations per second."""
        return self.flops / self.step_s


def measure_training(
    config: TrainConfig, size: int, device: torch.device, repeats: int, clock: Callable[[], float], half: bool
) -> TrainingCost:
    """Time steps on random input; only shapes matter.

    A step is network, loss, gradient, clipping, optimisers and average.  Drawing its pair is left out.

    Args:
        config: The run; its network, batch size and optimiser are used.
        size: Largest atom count of the bucket.
        device: Where to run.
        repeats: Steps that are timed.
        clock: Monotonic seconds.
        half: Run matrix products in bfloat16.
    """
    count = max(1, config.tokens_per_step // size)
    torch.manual_seed(config.seed)
    module = PreconditionedDenoiser(config.network).to(device)
    average, optimizers = WeightAverage(module, config.ema_decay), build_optimizers(module, config)
    batch, x, t = _random_input(config.network, count, size, device)
    network = torch.compile(module, dynamic=False) if config.compile else module
    share = config.self_conditioning_share if config.network.self_conditioning else 0.0

    def step(run: Callable[..., torch.Tensor], first: bool) -> None:
        guess = torch.zeros_like(x)
        if first:
            with torch.no_grad():
                guess = run(batch, x, t, guess, half)
        loss = denoising_loss(x, run(batch, x, t, guess, half), x, t, batch.token_mask, config.loss)
        loss.backward()

    with FlopCounterMode(display=False) as counter:
        step(module, False)
    with_one_guess = FlopCounterMode(display=False)
    with with_one_guess:
        step(module, True)
    once, twice = counter.get_total_flops(), with_one_guess.get_total_flops()
    module.zero_grad(set_to_none=True)
    seconds: dict[bool, float] = {}
    for first in (False, True):
        times = []
        for _ in range(_WARM_UP + repeats):
            began = _now(clock, device)
            step(network, first)
            nn.utils.clip_grad_norm_(module.parameters(), config.gradient_clip)
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            average.update(module, 1)
            times.append(_now(clock, device) - began)
        seconds[first] = median(times[_WARM_UP:])
    return TrainingCost(
        size, count, (1 - share) * once + share * twice, (1 - share) * seconds[False] + share * seconds[True]
    )


def matrix_ceiling(
    device: torch.device, dtype: torch.dtype, repeats: int, clock: Callable[[], float], size: int = 1024
) -> float:
    """Operations per second of one large square matrix product, the best of several."""
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    times = []
    for _ in range(_WARM_UP + repeats):
        began = _now(clock, device)
        a @ b
        times.append(_now(clock, device) - began)
    return 2 * size**3 / min(times[_WARM_UP:])


def _random_input(
    config: DenoiserConfig, count: int, size: int, device: torch.device
) -> tuple[PaddedBatch, torch.Tensor, torch.Tensor]:
    """Full-size structures with random categories, coordinates and times."""
    codes = int(torch.tensor(config.pair_sizes).prod())
    columns = [torch.randint(n, (count, size)) for n in config.token_sizes]
    bonded = torch.eye(size, dtype=torch.bool).roll(1, 0)
    batch = PaddedBatch(
        tokens=torch.stack(columns, dim=-1),
        pairs=torch.randint(codes, (count, size, size)),
        bonded=(bonded | bonded.T).expand(count, -1, -1),
        quadruples=torch.arange(4).expand(count, 1, 4) % size,
        quadruple_mask=torch.ones(count, 1, dtype=torch.bool),
        token_mask=torch.ones(count, size, dtype=torch.bool),
    ).to(device)
    return batch, torch.randn(count, size * config.points_per_token, 3, device=device), torch.rand(count, device=device)


def _now(clock: Callable[[], float], device: torch.device) -> float:
    """Time after everything asked of the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock()
