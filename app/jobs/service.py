"""Jobs of this server: claimed, made, recorded, given back; and news of them for who waits."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any, TypeVar

import structlog

from app.database.database import DatabaseError
from app.engine.engine import Engine
from app.intake.reading import Refusal
from app.jobs.files import JobFiles
from app.jobs.kinds import KINDS, AnyOrder, Made
from app.jobs.lease import Done, Leases
from app.jobs.maker import Maker, Task, together
from app.jobs.record import Job
from app.jobs.store import JobStore
from app.telemetry.tracing import span

_LOOK_EVERY_S = 2.0  # for jobs that were submitted to another server
_SWEEP_EVERY_S = 600.0
_ITEMS_AT_ONCE = 32  # of one job, so that a second job gets its share of the sampler
_INTERACTIVE_AT_ONCE = 64
_REMEMBERED = 256  # items of each kind, for the pace
_MAX_PAUSE_S = 10.0
_IDLE_S = 3600.0  # after which answers are deleted that nobody takes; they can be made again
T = TypeVar("T")
log = structlog.get_logger("shapespace.jobs")


class JobService:
    """Carries out jobs in the background of the event loop.

    Args:
        store: Jobs of all servers.
        leases: Those of this one.
        files: What they have made.
        engine: Tells which models are served, and when.
        maker: Makes items.
        at_once: Jobs of this server that run at once.
        retention_s: How long a job is kept after its end, s.
    """

    def __init__(
        self,
        store: JobStore,
        leases: Leases,
        files: JobFiles,
        engine: Engine,
        maker: Maker,
        at_once: int,
        retention_s: float,
    ) -> None:
        self.store, self.leases, self.files = store, leases, files
        self.retention_s = retention_s
        self.closing = False
        # hears what became of each item: its order, its place, and ensembles or the reason why there are none
        self.on_made: Callable[[AnyOrder, int, Made | Refusal], None] = lambda order, place, answer: None
        self.changes = 0  # of jobs by this server
        self._engine, self._maker, self._at_once = engine, maker, at_once
        self._threads = ThreadPoolExecutor(4, "jobs")  # of its own, so that a lease never waits for callers
        self._callers = ThreadPoolExecutor(8, "job-callers")
        self._trouble = False  # of the place for results, when it was used last
        self._running: dict[str, asyncio.Task[None]] = {}
        self._interactive: set[str] = set()
        self._tasks: dict[str, dict[int, Task]] = {}  # of the jobs that run, by place of the item
        # of each kind, when items were done, and their structures
        self._made: defaultdict[str, deque[tuple[float, int]]] = defaultdict(partial(deque, maxlen=_REMEMBERED))
        self._wake, self._news = asyncio.Event(), asyncio.Event()
        self._swept = -_SWEEP_EVERY_S
        self._loop: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to look for jobs."""
        self._loop = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End the work, and give it back with all that is done of it; streams of news end too."""
        self.closing = True
        self._tell()
        if self._loop is None:
            return
        tasks, self._loop = [self._loop, *self._running.values()], None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)  # or a claim would come after the release
        with suppress(DatabaseError):  # then the leases run out
            await self.call(self.leases.release)

    def close(self) -> None:
        """End the threads, when no request needs them any more; what they do in the database is finished."""
        self._threads.shutdown(cancel_futures=True)
        self._callers.shutdown(cancel_futures=True)

    async def call(self, work: Callable[..., T], *args: Any) -> T:
        """Do something for a caller that waits for the disk or the database, in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._callers, partial(work, *args))

    async def submit(self, order: AnyOrder, principal: str, **key: Any) -> tuple[Job, bool]:
        """Queue a job; see `JobStore.submit`.

        Raises:
            Problem: Also 503 while results cannot be kept.
        """
        if self._trouble:
            await self.call(self._check_files)
        job, new = await self.call(partial(self.store.submit, order, principal, **key))
        if new:
            log.info("job_submitted", job=job.id[:8], kind=job.kind, items=job.num_items, structures=job.num_structures)
            self._wake.set()
        return job, new

    async def cancel(self, job_id: str, principal: str) -> Job:
        """End a job unless it has ended; see `JobStore.cancel`."""
        job = await self.call(self.store.cancel, job_id, principal)
        self._drop(job_id)
        self._tell()
        return job

    async def news(self, timeout_s: float) -> None:
        """Wait until this server has changed some job, or for so long."""
        await _wait(self._news, timeout_s)

    async def outlook(self, job: Job) -> tuple[int | None, float | None]:
        """How many jobs start before this one (None unless it is queued), and seconds until it is done, if known."""
        position, before = None, dict[str, int]()
        if job.state == "queued":
            position, before = await self.call(self.store.ahead, job, self._models)
        left = job.num_structures - job.num_structures_done
        if job.state == "running":
            left *= max(1, len(self._running))  # they share the sampler
        elif job.state != "queued":
            return None, None
        seconds = 0.0
        for kind, structures in [*before.items(), (job.kind, left)]:
            pace = self._pace(kind)
            if pace is None:
                return position, None
            seconds += pace * structures
        return position, round(seconds, 1)

    @property
    def _models(self) -> list[str]:
        """Names of the models whose jobs this server can run."""
        return [served.model.name for served in list(self._engine.served.values())]

    def _pace(self, kind: str) -> float | None:
        """Seconds of one structure, as it was of late."""
        made = self._made[kind]
        if len(made) < 2:
            return None
        structures = sum(count for _, count in made) - made[0][1]
        return (made[-1][0] - made[0][0]) / max(1, structures)

    async def _run(self) -> None:
        """Renew leases and claim jobs, as long as the server lives."""
        while True:
            self._wake.clear()
            try:
                await self._tend()
            except DatabaseError as error:
                log.warning("jobs_wait_for_database", detail=error.detail)
            except Exception:  # the next round may do better, and leases must go on
                log.error("jobs_failed", exc_info=True)
            await _wait(self._wake, min(_LOOK_EVERY_S, self.leases.lease_s / 3))

    async def _tend(self) -> None:
        if self._running:
            own = await self._do(self.leases.beat, [*self._running])
            lost = [task for job_id, task in self._running.items() if job_id not in own]
            for task in lost:  # cancelled, or taken over while this server was silent
                task.cancel()
            await asyncio.gather(*lost, return_exceptions=True)  # before one of them may be claimed again
        for job_id, tasks in list(self._tasks.items()):
            if made := {place: task.made for place, task in tasks.items() if task.made != task.told}:
                for place, count in made.items():
                    tasks[place].told = count
                await self._do(self.leases.report, job_id, made)
        while self._engine.ready:
            full = len(self._running) - len(self._interactive) >= self._at_once
            if full and len(self._interactive) >= _INTERACTIVE_AT_ONCE:
                break
            job = await self._do(self.leases.claim, self._models, full)
            if job is None:
                break
            if job.id in self._running:  # its lease had run out, and it is our own again
                continue
            log.info("job_claimed", job=job.id[:8], kind=job.kind, done=job.num_done, items=job.num_items)
            if job.interactive:
                self._interactive.add(job.id)
            task = self._running[job.id] = asyncio.create_task(self._carry_out(job))
            task.add_done_callback(partial(self._over, job.id))
            self._tell()
        if monotonic() - self._swept > _SWEEP_EVERY_S:
            self._swept = monotonic()
            await self._sweep()

    async def _carry_out(self, job: Job) -> None:
        """Make the items that are not done yet."""
        with span("job", {"job": job.id[:8], "kind": job.kind, "items": job.num_items, "done": job.num_done}):
            await self._make(job)

    async def _make(self, job: Job) -> None:
        order = await self._insist(self.store.order_of, job.id)
        places = await self._insist(self.leases.waiting, job.id)
        gate, tasks = asyncio.Semaphore(_ITEMS_AT_ONCE), self._tasks.setdefault(job.id, {})

        async def one(place: int) -> None:
            async with gate:
                task = tasks[place] = Task(job.interactive)
                work = partial(KINDS[order.kind].make, order, place)
                await self._record(job.id, order, place, await self._maker.make(work, task, order.names[place]))
                del tasks[place]

        await together(one(place) for place in places)

    async def _record(self, job_id: str, order: AnyOrder, place: int, answer: Made | Refusal) -> None:
        """Keep what was made: first the file, then the record that says it is there."""
        if isinstance(answer, Refusal):
            refusal = {"reason": answer.reason, "detail": answer.detail}
            done = Done(order.count, 0, "failed", refusal)
        else:
            packed = await self._do(KINDS[order.kind].pack, answer)
            name = await self._insist(self.files.write, job_id, place, packed)
            returned = sum(ensemble.num_returned for ensemble in answer)
            statuses = {ensemble.status for ensemble in answer}
            status = statuses.pop() if len(statuses) == 1 else "partial"
            done = Done(order.count * len(answer), returned, status, file=name)
        verdict = await self._insist(self.leases.finish, job_id, place, done)
        if verdict == "recorded":
            self._made[order.kind].append((monotonic(), done.num_requested))
            self.on_made(order, place, answer)
            self._tell()
        elif done.file:
            await self._do(self.files.drop, job_id, done.file)
        if verdict == "lost":
            self._drop(job_id)

    def _check_files(self) -> None:
        try:
            self.files.probe()
        except OSError as error:
            raise DatabaseError(f"results of jobs cannot be kept now ({error.strerror}); try again later") from error
        self._trouble = False

    async def _do(self, work: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(work, *args))

    async def _insist(self, work: Callable[..., T], *args: Any) -> T:
        """Do something until disk and database let it be done; what was made waits here meanwhile."""
        pause_s = 0.1
        while True:
            try:
                return await self._do(work, *args)
            except (OSError, DatabaseError) as error:
                self._trouble |= isinstance(error, OSError)
                log.warning("job_waits_for_storage", detail=str(error))
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _MAX_PAUSE_S)

    async def _sweep(self) -> None:
        """Delete jobs that ended long ago: first their files, then the records that lead to them."""
        while ids := await self._do(self.store.expired, self.retention_s):
            for job_id in ids:
                await self._do(self.files.remove, job_id)
            await self._do(self.store.forget, ids)
        await self._do(self.files.sweep_answers, min(self.retention_s, _IDLE_S))

    def _drop(self, job_id: str) -> None:
        task = self._running.get(job_id)
        if task is not None:
            task.cancel()

    def _over(self, job_id: str, task: asyncio.Task[None]) -> None:
        """A job has ended here, one way or another."""
        self._running.pop(job_id, None)
        self._tasks.pop(job_id, None)
        self._interactive.discard(job_id)
        if not self._running:
            self._made.clear()
        if not task.cancelled() and task.exception() is not None:
            log.error("job_failed", job=job_id[:8], exc_info=task.exception())
        self._wake.set()
        self._tell()

    def _tell(self) -> None:
        self.changes += 1
        self._news.set()
        self._news = asyncio.Event()


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    """Wait for an event, or for so long; unlike `asyncio.wait_for` it never loses a cancellation that comes with it."""
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()
