"""Jobs as servers see them: claim, renew, record, give back.  Every change is one transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVarTuple

from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import Session, aliased

from app.database.database import Database, now
from app.jobs.record import Job, JobItem

MAX_TAKEOVERS = 25  # without one more item done: the job itself seems to end its servers
Columns = TypeVarTuple("Columns")
Verdict = Literal["recorded", "known", "lost"]


@dataclass(frozen=True)
class Done:
    """What is recorded of an item that is done; see `JobItem`."""

    num_requested: int
    num_returned: int
    status: str
    refusal: dict[str, Any] | None = None
    file: str | None = None


class Leases:
    """What one server may work on.

    A running job belongs to one server for as long as that renews its lease.  What a server records of a job counts
    only while the job is its own, so nothing is counted twice, however long a server was away.

    Args:
        database: Of the jobs.
        owner: This server.
        lease_s: How long a server may be silent before others take its jobs, s.
        clock: Seconds since 1970; by default that of the database, so that the clocks of servers may differ.
    """

    def __init__(
        self, database: Database, owner: str, lease_s: float, clock: Callable[[], float] | None = None
    ) -> None:
        self._database, self._owner, self.lease_s, self._clock = database, owner, lease_s, clock

    def claim(self, models: Collection[str], interactive: bool = False) -> Job | None:
        """Make the next job this server's own: one whose server is silent, or else the next in the queue.

        Those that somebody waits for come first, then those of principals with the fewest running jobs, then the oldest
        ones.

        Args:
            models: That it has.
            interactive: Only jobs that somebody waits for.
        """
        with self._database.write() as session:
            at = self._now(session)
            silent = select(Job).where(Job.state == "running", Job.model.in_(models), Job.lease_until < at)
            for query in (silent.order_by(Job.created), in_turn(select(Job), models)):
                if interactive:
                    query = query.where(Job.interactive)
                job = session.scalar(query.limit(1).with_for_update(skip_locked=True, of=Job))
                if job is not None:
                    break
            else:
                return None
            if job.state == "running":
                job.takeovers += 1
                forget_unfinished(session, job)
            if job.takeovers > MAX_TAKEOVERS:
                detail = f"its server ended {MAX_TAKEOVERS} times without one more item done"
                job.problem = {"reason": "abandoned", "detail": detail}
                job.change("failed", at)
                return None
            if job.state == "queued":
                job.change("running", at)
            job.owner, job.lease_until = self._owner, at + self.lease_s
        return job

    def waiting(self, job_id: str) -> list[int]:
        """Places of the items of a job that are not done."""
        query = select(JobItem.place).where(JobItem.job_id == job_id, JobItem.sequence.is_(None))
        with self._database.read() as session:
            return list(session.scalars(query.order_by(JobItem.place)))

    def beat(self, job_ids: Collection[str]) -> set[str]:
        """Renew the leases of the jobs that this server works on; those that are still its own."""
        own = update(Job).where(Job.id.in_(job_ids), Job.owner == self._owner, Job.state == "running")
        with self._database.write() as session:
            until = self._now(session) + self.lease_s
            return set(session.scalars(own.values(lease_until=until).returning(Job.id)))

    def report(self, job_id: str, made: Mapping[int, int]) -> None:
        """Tell how many structures there are of items that are not done, by place; they are not kept yet."""
        with self._database.write() as session:
            job = session.get(Job, job_id, with_for_update=True)
            if job is None or job.state != "running" or job.owner != self._owner:
                return
            for item in session.scalars(unfinished(job_id).where(JobItem.place.in_(made))):
                job.num_returned += made[item.place] - item.num_returned
                item.num_returned = made[item.place]

    def finish(self, job_id: str, place: int, done: Done) -> Verdict:
        """Record that an item is done, once; with the last one the job is done.

        Returns:
            `recorded`; or `known` when it was done before, so that what was made now does not count; or `lost` when
            the job is not this server's own any more, and nothing that it makes of it will count.
        """
        with self._database.write() as session:
            job = session.get(Job, job_id, with_for_update=True)
            if job is None or job.state != "running" or job.owner != self._owner:
                return "lost"
            item = session.get_one(JobItem, (job_id, place))
            if item.sequence is not None:  # by this call, whose answer was lost, or by an earlier one
                return "recorded" if item.file == done.file else "known"
            job.sequence += 1
            item.sequence, item.status = job.sequence, done.status
            item.refusal, item.file = done.refusal, done.file
            job.num_structures += done.num_requested - item.num_requested
            job.num_returned += done.num_returned - item.num_returned
            item.num_requested, item.num_returned = done.num_requested, done.num_returned
            job.num_done, job.takeovers = job.num_done + 1, 0
            job.num_structures_done += done.num_requested
            if job.num_done == job.num_items:
                job.change("done", self._now(session))
        return "recorded"

    def release(self) -> None:
        """Give all jobs of this server back to the queue, with what is done of them."""
        own = select(Job).where(Job.owner == self._owner, Job.state == "running").with_for_update()
        with self._database.write() as session:
            for job in session.scalars(own):
                forget_unfinished(session, job)
                job.change("queued", self._now(session))

    def _now(self, session: Session) -> float:
        return now(session) if self._clock is None else self._clock()


def unfinished(job_id: str) -> Select[JobItem]:
    """Items of a job that are not done."""
    return select(JobItem).where(JobItem.job_id == job_id, JobItem.sequence.is_(None))


def forget_unfinished(session: Session, job: Job) -> None:
    """Structures of items that are not done are lost with their server."""
    for item in session.scalars(unfinished(job.id).where(JobItem.num_returned > 0)):
        job.num_returned -= item.num_returned
        item.num_returned = 0


def in_turn(query: Select[*Columns], models: Collection[str]) -> Select[*Columns]:
    """Queued jobs of some models in the order in which they will start."""
    running = aliased(Job)
    busy = select(func.count()).where(running.principal == Job.principal, running.state == "running")
    order = (Job.interactive.desc(), busy.correlate(Job).scalar_subquery(), Job.created, Job.id)
    return query.where(Job.state == "queued", Job.model.in_(models)).order_by(*order)
