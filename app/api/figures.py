"""What engine, children and device do now, as figures for the metrics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import torch

from app.database.database import DatabaseError
from app.engine.engine import Engine
from app.engine.stats import EngineStats
from app.intake.pool import ChildPool, PoolStats
from app.jobs.store import JobStore
from app.telemetry.metrics import Figure


def figures(engine: Engine, pool: ChildPool) -> Iterator[Figure]:
    """Read everything once."""
    yield Figure("ready", "Whether the sampler takes work.", float(engine.ready))
    yield from _of_engine(engine.stats())
    yield from _of_pool(pool.stats())
    yield from _of_device(engine)


def _of_engine(stats: EngineStats) -> Iterator[Figure]:
    yield Figure(
        "engine_waiting_tickets", "Requests of which some draw never reached the sampler.", stats.waiting_tickets
    )
    yield Figure("engine_running_tickets", "Requests that have reached the sampler.", stats.running_tickets)
    yield Figure("engine_waiting_draws", "Draws that are not on the device.", stats.waiting_draws)
    yield Figure("engine_running_rows", "Draws on the device.", stats.running_rows)
    yield Figure("engine_batches", "Batches that they are in.", stats.batches)
    yield Figure("engine_batch_fill", "Mean share of the places of a batch that are taken.", stats.batch_fill)
    yield Figure("engine_step_seconds", "Mean time of a step of the sampler.", stats.step_s)
    yield Figure("engine_left_seconds", "Time of the device for all that was asked for.", stats.left_s)
    yield Figure("engine_heartbeat_age_seconds", "Time since the sampler's last sign of life.", stats.heartbeat_age_s)
    yield Figure("engine_conformers_per_second", "Verdicts on conformers, over half a minute.", stats.conformers_per_s)
    yield Figure("engine_steps", "Steps of the sampler.", stats.steps, total=True)
    yield Figure("engine_conformers", "Good conformers drawn.", stats.conformers, total=True)
    yield Figure("engine_restarts", "How often the sampler was started again.", stats.restarts, total=True)
    yield Figure("engine_out_of_memory", "Batches that did not fit into memory.", stats.out_of_memory, total=True)
    for reason, count in stats.faults.items():
        yield Figure("engine_faults", "Draws that failed their checks.", count, {"reason": reason}, total=True)


def of_jobs(store: JobStore) -> Iterator[Figure]:
    """Jobs of all servers that share the database; none while it does not answer."""
    with suppress(DatabaseError):
        for state, count in store.counts().items():
            yield Figure("jobs", "Jobs that have not ended.", count, {"state": state})


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
