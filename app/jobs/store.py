"""Jobs as callers see them: submit, look, cancel.  Every change is one transaction."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased, selectinload, undefer

from app.database.database import Database
from app.errors import Problem
from app.jobs.kinds import KINDS, AnyOrder
from app.jobs.lease import forget_unfinished, in_turn
from app.jobs.record import ACTIVE, ENDED, Job, JobItem, State

_SWEPT = 100  # jobs at once


class JobStore:
    """The jobs of all servers that share a database.

    Args:
        database: Where they are.
        max_active: Jobs that may be queued or running.
        clock: Seconds since 1970.
    """

    def __init__(self, database: Database, max_active: int, clock: Callable[[], float] = time.time) -> None:
        self._database, self._max_active, self._clock = database, max_active, clock

    def submit(
        self,
        order: AnyOrder,
        principal: str,
        key: str | None = None,
        body_hash: str | None = None,
        interactive: bool = False,
    ) -> tuple[Job, bool]:
        """Queue a job, unless one with its key is there.

        Returns:
            The job, and whether it is new.

        Raises:
            Problem: 422 for a key that was used for another request, 503 when too many jobs are active.
        """
        job = _build(order, principal, key, body_hash, interactive)
        job.created = self._clock()
        try:
            with self._database.write() as session:
                known = _with_key(session, principal, key)
                if known is None:
                    self._check_room(session)
                    session.add(job)
        except IntegrityError:  # another server was quicker with the same key
            with self._database.read() as session:
                known = _with_key(session, principal, key)
            if known is None:
                raise
        if known is None:
            return job, True
        if known.body_hash != body_hash:
            detail = "this Idempotency-Key was sent before with another request; take a new key for a new request"
            raise Problem(422, "key_reused", detail)
        return known, False

    def knows(self, principal: str, key: str) -> bool:
        """Whether a request with this Idempotency-Key came before."""
        with self._database.read() as session:
            return session.scalar(select(Job.id).where(Job.principal == principal, Job.key == key)) is not None

    def find(self, job_id: str, principal: str) -> Job:
        """A job with its items.

        Raises:
            Problem: 404 when this principal has no such job.
        """
        with self._database.read() as session:
            return _own(session, job_id, principal)

    def order_of(self, job_id: str) -> AnyOrder:
        """What a job asks for."""
        with self._database.read() as session:
            job = session.scalars(select(Job).where(Job.id == job_id).options(undefer(Job.order))).one()
        return KINDS[job.kind].read_order(job.order)

    def page(self, principal: str, state: State | None, limit: int, before: str | None) -> Sequence[Job]:
        """Jobs of a principal, newest first, without their items.

        Args:
            principal: Whose.
            state: Only those in this state.
            limit: At most so many.
            before: Id of the last job of the page before.
        """
        query = select(Job).where(Job.principal == principal)
        if state is not None:
            query = query.where(Job.state == state)
        if before is not None:
            last = aliased(Job)
            at = select(last.created).where(last.id == before, last.principal == principal).scalar_subquery()
            query = query.where((Job.created < at) | ((Job.created == at) & (Job.id < before)))
        with self._database.read() as session:
            return session.scalars(query.order_by(Job.created.desc(), Job.id.desc()).limit(limit)).all()

    def events(self, job_id: str, after: int) -> tuple[Job, Sequence[JobItem]]:
        """A job as it is now, and its items that were done after an event, oldest first.

        Raises:
            Problem: 404 when it is gone.
        """
        query = select(JobItem).where(JobItem.job_id == job_id, JobItem.sequence > after)
        with self._database.read() as session:
            job = session.get(Job, job_id)
            items = session.scalars(query.order_by(JobItem.sequence)).all()
        if job is None:
            raise Problem(404, "not_found", "the job has expired")
        return job, [item for item in items if item.sequence is not None and item.sequence <= job.sequence]

    def ahead(self, job: Job, models: Collection[str]) -> tuple[int, dict[str, int]]:
        """How many jobs would start before a queued one, and structures of each kind to make before its own.

        Args:
            job: The queued one.
            models: Of the server that is asked.
        """
        models = {*models, job.model}
        left = Job.num_structures - Job.num_structures_done
        with self._database.read() as session:
            running = select(Job.kind, func.sum(left)).where(Job.state == "running", Job.model.in_(models))
            before: Counter[str] = Counter(dict(session.execute(running.group_by(Job.kind)).all()))
            queued = session.execute(in_turn(select(Job.id, Job.kind, left), models)).all()
        position = next((k for k, row in enumerate(queued) if row[0] == job.id), 0)
        for _, kind, structures in queued[:position]:
            before[kind] += structures
        return position, dict(before)

    def cancel(self, job_id: str, principal: str) -> Job:
        """End a job unless it has ended; what is done of it stays.

        Raises:
            Problem: 404 when this principal has no such job.
        """
        with self._database.write() as session:
            job = _own(session, job_id, principal, lock=True)
            if job.state in ACTIVE:
                forget_unfinished(session, job)
                job.change("cancelled", self._clock())
        return job

    def counts(self) -> dict[str, int]:
        """Jobs that have not ended, by state."""
        query = select(Job.state, func.count()).where(Job.state.in_(ACTIVE)).group_by(Job.state)
        with self._database.read() as session:
            found: dict[str, int] = dict(session.execute(query).all())
        return {state: found.get(state, 0) for state in sorted(ACTIVE)}

    def expired(self, retention_s: float) -> Sequence[str]:
        """Ids of some jobs that ended longer ago than this."""
        query = select(Job.id).where(Job.state.in_(ENDED), Job.ended < self._clock() - retention_s)
        with self._database.read() as session:
            return session.scalars(query.limit(_SWEPT)).all()

    def forget(self, job_ids: Sequence[str]) -> None:
        """Delete the records of jobs that have ended."""
        with self._database.write() as session:
            session.execute(delete(Job).where(Job.id.in_(job_ids), Job.state.in_(ENDED)))

    def _check_room(self, session: Session) -> None:
        active = session.scalar(select(func.count()).select_from(Job).where(Job.state.in_(ACTIVE))) or 0
        if active >= self._max_active:
            detail = f"{active} jobs are queued or running; at most {self._max_active} may; try again later"
            raise Problem(503, "overloaded", detail, {"Retry-After": "60"})


def _build(order: AnyOrder, principal: str, key: str | None, body_hash: str | None, interactive: bool) -> Job:
    items = [JobItem(place=place, name=name, num_requested=order.count) for place, name in enumerate(order.names)]
    return Job(
        id=secrets.token_urlsafe(24),
        principal=principal,
        state="queued",
        kind=order.kind,
        order=order.to_values(),
        model=order.model,
        num_items=len(items),
        num_structures=len(items) * order.count,
        interactive=interactive,
        key=key,
        body_hash=body_hash,
        items=items,
    )


def _own(session: Session, job_id: str, principal: str, lock: bool = False) -> Job:
    query = select(Job).where(Job.id == job_id, Job.principal == principal).options(selectinload(Job.items))
    job = session.scalar(query.with_for_update() if lock else query)
    if job is None:
        raise Problem(404, "not_found", f"there is no job {job_id[:60]!r}; it may have expired; see GET /v1/jobs")
    return job


def _with_key(session: Session, principal: str, key: str | None) -> Job | None:
    if key is None:
        return None
    query = select(Job).where(Job.principal == principal, Job.key == key).options(selectinload(Job.items))
    return session.scalar(query)
