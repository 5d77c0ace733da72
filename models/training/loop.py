"""The training loop, top to bottom."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from models.errors import DataError
from models.networks.preconditioning import PreconditionedDenoiser
from models.samplers.prior import build_prior
from models.training.checkpoint import has_checkpoint, load_checkpoint, save_checkpoint
from models.training.config import TrainConfig
from models.training.ema import WeightAverage
from models.training.loss import denoising_loss
from models.training.order import BatchOrder
from models.training.sample import TrainingSet, WarmStarts, draw_pair

LOG_EVERY = 50
SAVE_EVERY_S = 120.0


@dataclass(frozen=True)
class Progress:
    """How far a run is: optimiser steps, wall-clock seconds of all its pieces, conformers seen."""

    step: int
    elapsed_s: float
    conformers: int


def train(
    data: Sequence[TrainingSet],
    config: TrainConfig,
    folder: Path,
    device: torch.device,
    clock: Callable[[], float],
    on_log: Callable[[dict], None],
    should_stop: Callable[[], bool] = lambda: False,
    half: bool = True,
    until_s: float = math.inf,
) -> Progress:
    """Train until the budget is spent, resuming from `folder` if a checkpoint is there.

    Args:
        data: One for each size bucket, on `device`.
        config: The run.
        folder: Checkpoint folder; the averaged weights end up in `average.safetensors` in it.
        device: Where to run.
        clock: Monotonic seconds.
        on_log: Receives a record of plain numbers every few steps.
        should_stop: Asked after each step; true saves and returns.
        half: Run matrix products in bfloat16.
        until_s: Save and return as soon as this much of the budget is spent.

    Returns:
        Progress at the end.
    """
    torch.manual_seed(config.seed)
    module = PreconditionedDenoiser(config.network).to(device)
    if config.initial:
        load_initial(module, Path(config.initial))
    average = WeightAverage(module, config.ema_decay)
    optimizers = build_optimizers(module, config)
    progress = Progress(0, 0.0, 0)
    if has_checkpoint(folder):
        progress = Progress(**load_checkpoint(folder, module, average, optimizers))
    sizes = [max(1, config.tokens_per_step // bucket.size) for bucket in data]
    rows_of = [bucket.visited_rows(config.least_per_size) for bucket in data]
    order = BatchOrder([len(rows) for rows in rows_of], sizes, config.seed)
    warm = WarmStarts(config.warm_share, config.warm_earliest, config.warm_latest)
    prior = build_prior(config.prior, config.prior_std_ang)
    network = torch.compile(module, dynamic=False) if config.compile else module

    began = clock() - progress.elapsed_s
    logged_at, logged_conformers, saved_at = progress.elapsed_s, progress.conformers, progress.elapsed_s
    losses: list[torch.Tensor] = []
    while progress.elapsed_s < min(config.budget_s, until_s) and not should_stop():
        step = progress.step
        rate = learning_rate_factor(step, progress.elapsed_s, config)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak_lr"] * rate
        bucket, places = order.batch(step)
        rows = rows_of[bucket][places]
        rng = torch.Generator(device).manual_seed(_mix(config.seed, step))
        pair = draw_pair(data[bucket], rows, prior, config.coupling == "kabsch", rng, warm)
        guess = torch.zeros_like(pair.x_t)
        if torch.rand((), generator=torch.Generator().manual_seed(_mix(config.seed, step))) < _share(config):
            with torch.no_grad():
                guess = network(pair.batch, pair.x_t, pair.t, guess, half, pair.begin)
        denoised = network(pair.batch, pair.x_t, pair.t, guess, half, pair.begin)
        loss = denoising_loss(pair.x_t, denoised, pair.x_data, pair.share, pair.mask, config.loss, config.metric)
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), config.gradient_clip)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        average.update(module, step + 1)
        losses.append(loss.detach())
        progress = Progress(step + 1, clock() - began, progress.conformers + len(rows))
        if progress.step % LOG_EVERY == 0:
            mean = _mean_loss(losses, progress.step)
            speed = (progress.conformers - logged_conformers) / max(progress.elapsed_s - logged_at, 1e-9)
            on_log(
                {
                    **asdict(progress),
                    "loss": mean,
                    "conformers_per_s": speed,
                    "learning_rate": config.learning_rate * rate,
                }
            )
            logged_at, logged_conformers, losses = progress.elapsed_s, progress.conformers, []
        if progress.elapsed_s - saved_at > SAVE_EVERY_S:
            _mean_loss(losses, progress.step)
            save_checkpoint(folder, module, average, optimizers, asdict(progress))
            saved_at = progress.elapsed_s
    _mean_loss(losses, progress.step)
    save_checkpoint(folder, module, average, optimizers, asdict(progress))
    return progress


def load_initial(module: nn.Module, path: Path) -> None:
    """Start from trained weights; only what says nothing at first may be missing: of warm starts, and of contacts.

    Raises:
        DataError: The file is not there or holds another network.
    """
    if not path.is_file():
        raise DataError(f"no weights to start from at {path}")
    try:
        missing, unexpected = module.load_state_dict(load_file(path), strict=False)
    except RuntimeError as error:  # shapes that differ
        raise DataError(f"{path} holds another network: {str(error).splitlines()[-1].strip()}") from None
    added = ("embed_begin.weight", "contact_edges.", "contact_messages.")
    strange = [name for name in missing if not any(word in name for word in added)] + list(unexpected)
    if strange:
        raise DataError(f"{path} holds another network; it differs in {', '.join(strange[:3])}")


def build_optimizers(module: nn.Module, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for everything else."""
    matrices: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in module.named_parameters():
        inner = ".blocks." in name and parameter.ndim == 2 and "modulation" not in name
        (matrices if inner and config.matrix_learning_rate > 0 else rest).append(parameter)
    adam = torch.optim.AdamW(rest, lr=config.learning_rate, betas=(0.9, 0.98), weight_decay=config.weight_decay)
    optimizers: list[torch.optim.Optimizer] = [adam]
    if matrices:
        optimizers.append(
            torch.optim.Muon(
                matrices,
                lr=config.matrix_learning_rate,
                weight_decay=config.weight_decay,
                adjust_lr_fn="match_rms_adamw",
            )
        )
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak_lr"] = group["lr"]
    return optimizers


def learning_rate_factor(step: int, elapsed_s: float, config: TrainConfig) -> float:
    """Linear warm-up by steps, then flat, then linear to zero over the last share of the time."""
    warm = min(1.0, (step + 1) / max(1, config.warmup_steps))
    left = 1 - elapsed_s / config.budget_s
    return warm * min(1.0, max(0.0, left / config.decay_share))


def half_is_faster(device: torch.device, clock: Callable[[], float]) -> bool:
    """Measure a matrix product of the network's shape in bfloat16 against float32."""
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        a = torch.ones(4096, 192, device=device, dtype=dtype)
        b = torch.ones(192, 768, device=device, dtype=dtype)
        times = []
        for _ in range(20):
            start = clock()
            (a @ b).sum().item()
            times.append(clock() - start)
        seconds[dtype] = min(times)  # the first calls set up kernels and other work may disturb some
    return seconds[torch.bfloat16] < seconds[torch.float32]


def _mean_loss(losses: list[torch.Tensor], step: int) -> float:
    """Mean since the last log; weights that gave a loss that is not finite must not be saved."""
    mean = torch.stack(losses).mean().item() if losses else 0.0
    if not math.isfinite(mean):
        raise DataError(f"the loss is not finite at step {step}; lower learning_rate and resume")
    return mean


def _mix(seed: int, step: int) -> int:
    """One 63-bit seed for each step of each run."""
    return (seed * 1_000_003 + step * 2_654_435_761 + 97) % (2**63)


def _share(config: TrainConfig) -> float:
    return config.self_conditioning_share if config.network.self_conditioning else 0.0
