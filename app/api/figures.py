"""What engine, children and device do now, as figures for the metrics."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from app.engine.engine import Engine
from app.intake.pool import ChildPool, PoolStats
from app.telemetry.metrics import Figure


def figures(engine: Engine, pool: ChildPool) -> Iterator[Figure]:
    """Read everything once."""
    yield Figure("ready", "Whether the sampler takes work.", float(engine.ready))
    yield from _of_pool(pool.stats())
    yield from _of_device(engine)


def _of_pool(stats: PoolStats) -> Iterator[Figure]:
    yield Figure("intake_children", "Child processes, idle ones included.", stats.children)
    yield Figure("intake_running", "Jobs in the child processes.", stats.running)
    yield Figure("intake_slow", "Jobs of the child processes that have given their turn away.", stats.slow)
    yield Figure("intake_waiting", "Jobs that wait for a child process.", stats.waiting)
    yield Figure("intake_jobs", "Jobs of the child processes answered.", stats.done, total=True)
    for reason, count in stats.losses.items():
        words = "Jobs of the child processes without an answer of their own."
        yield Figure("intake_losses", words, count, {"reason": reason}, total=True)


def _of_device(engine: Engine) -> Iterator[Figure]:
    """Memory of the GPU; that of the process is among the metrics of the client library."""
    if engine.model is None or engine.model.device.type != "cuda":
        return
    device = engine.model.device
    free, total = torch.cuda.mem_get_info(device)
    sizes = {"total": total, "free": free, "allocated": torch.cuda.memory_allocated(device)}
    sizes["reserved"] = torch.cuda.memory_reserved(device)
    for kind, size in sizes.items():
        yield Figure("device_memory_bytes", "Memory of the device.", size, {"kind": kind})
