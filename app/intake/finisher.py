"""Ensembles finished in the child processes, several at once, each whole or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from app.intake.finishing import Measuring, Selecting
from app.intake.job import Answer, Job
from app.intake.pool import ChildPool
from models.finishing.finish import Measured, unfinished
from models.finishing.options import FinishOptions
from models.structure import Ensemble

_AT_ONCE = 4  # conformers in one job: few, so that readings of other requests get their turn in between
_LOOK_EVERY_S = 0.1


async def finish_all(
    pool: ChildPool, ensembles: Sequence[Ensemble], options: FinishOptions, should_stop: Callable[[], bool]
) -> list[Ensemble]:
    """Do what `models.finishing.finish.finish` does, where it can be ended.

    An ensemble that takes too long, or costs its child, comes back as it was sampled and says why; the others do not
    feel it.

    Args:
        pool: The children.
        ensembles: As they were sampled.
        options: What to do.
        should_stop: Asked several times a second; true ends the work, and what is missing is reported as `stopped`.

    Returns:
        The ensembles in their order.
    """
    turn, gate = asyncio.Semaphore(len(pool)), asyncio.Semaphore(len(pool))

    async def one(ensemble: Ensemble) -> Ensemble:
        async with turn:  # some are whole when the work is ended, instead of all half done
            return await _finish(pool, gate, ensemble, options)

    tasks = [asyncio.create_task(one(ensemble)) for ensemble in ensembles]
    left: set[asyncio.Task[Ensemble]] = set(tasks)
    pool.requests += 1
    try:
        while left and not should_stop():
            left = (await asyncio.wait(left, timeout=_LOOK_EVERY_S))[1]
        return [
            unfinished(ensemble, options, "stopped") if task in left else task.result()
            for task, ensemble in zip(tasks, ensembles, strict=True)
        ]
    finally:
        pool.requests -= 1
        for task in left:
            task.cancel()


async def _finish(pool: ChildPool, gate: asyncio.Semaphore, ensemble: Ensemble, options: FinishOptions) -> Ensemble:
    """One ensemble; its conformers are spread over the children, and after a loss no more of them are sent."""
    conformers = ensemble.conformers
    if not options or not conformers:
        return ensemble
    lost: list[str] = []

    async def ask(job: Job[Answer | str]) -> Answer | str:
        async with gate:
            return lost[0] if lost else await asyncio.wrap_future(pool.submit(job))

    async def measure(start: int) -> list[Measured]:
        part = conformers[start : start + _AT_ONCE]
        if options.method is None:
            return [Measured(c) for c in part]
        answer = await ask(Measuring(ensemble.molecule, part, options))
        if isinstance(answer, str):
            lost.append(answer)
            return []
        return answer

    parts = await asyncio.gather(*(measure(start) for start in range(0, len(conformers), _AT_ONCE)))
    measured = tuple(m for part in parts for m in part)
    answer = await ask(Selecting(replace(ensemble, conformers=()), measured, options))
    return unfinished(ensemble, options, answer) if isinstance(answer, str) else answer
