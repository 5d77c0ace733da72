"""A job, its items, and the states they go through.

An item is a molecule or a length, and structures are conformers or backbones, by the kind of the job.  Columns keep the
names of the time when there were molecules alone, so that servers of the version before can go on beside newer ones.
"""

from __future__ import annotations

from typing import Any, Literal

from sqlalchemy import JSON, Boolean, Float, ForeignKey, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.database.database import Base

State = Literal["queued", "running", "done", "failed", "cancelled"]
ACTIVE: tuple[State, ...] = ("queued", "running")
ENDED: tuple[State, ...] = ("done", "failed", "cancelled")


class Job(Base):
    """One request that is carried out in the background.  Times are seconds since 1970.

    Attributes:
        id: Names it and cannot be guessed.
        principal: Who may see it.
        state: `queued` and `running` go either way, as servers come and go; the others are final.
        kind: What is made; one of `app.jobs.kinds`.
        order: What is asked for, as `to_values` of the order of its kind.
        model: Only a server with this model may run it.
        num_items: In `order`.
        num_structures: That were asked for, as far as is known: stereoisomers count when a molecule was read.
        num_done: Items that are done.
        num_returned: Structures of all items, as far as they are made.
        num_structures_done: Structures that were asked for of those.
        interactive: Whether somebody waits for it at the screen.
        sequence: Number of its newest event; state changes and items share one count.
        state_sequence: Number of its last change of state.
        created: When it was submitted.
        started: When it first ran.
        ended: When it reached its final state.
        owner: The server that runs it.
        lease_until: When others may take it over unless the owner says that it lives.
        takeovers: How often it was taken over since its last item was done.
        problem: Why it failed.
        key: Idempotency-Key of the request.
        body_hash: Of the request with that key.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        UniqueConstraint("principal", "key", name="uq_jobs_key"),
        Index("ix_jobs_state", "state", "created"),
        Index("ix_jobs_principal", "principal", "created"),
    )

    id: Mapped[str] = mapped_column(String(43), primary_key=True)
    principal: Mapped[str] = mapped_column(String(255))
    state: Mapped[State] = mapped_column(String(16))
    kind: Mapped[str] = mapped_column(String(16), server_default="conformers")
    order: Mapped[dict[str, Any]] = mapped_column(JSON, deferred=True)
    model: Mapped[str] = mapped_column(String(255))
    num_items: Mapped[int] = mapped_column("num_molecules", Integer)
    num_structures: Mapped[int] = mapped_column("num_conformers", Integer)
    num_done: Mapped[int] = mapped_column(Integer, default=0)
    num_returned: Mapped[int] = mapped_column(Integer, default=0)
    num_structures_done: Mapped[int] = mapped_column("num_conformers_done", Integer, default=0)
    interactive: Mapped[bool] = mapped_column(Boolean, default=False)
    sequence: Mapped[int] = mapped_column(Integer, default=1)
    state_sequence: Mapped[int] = mapped_column(Integer, default=1)
    created: Mapped[float] = mapped_column(Float)
    started: Mapped[float | None] = mapped_column(Float, default=None)
    ended: Mapped[float | None] = mapped_column(Float, default=None)
    owner: Mapped[str | None] = mapped_column(String(43), default=None)
    lease_until: Mapped[float | None] = mapped_column(Float, default=None)
    takeovers: Mapped[int] = mapped_column(Integer, default=0)
    problem: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True), default=None)
    key: Mapped[str | None] = mapped_column(String(255), default=None)
    body_hash: Mapped[str | None] = mapped_column(String(64), default=None)
    items: Mapped[list[JobItem]] = relationship(
        order_by="JobItem.place", cascade="all, delete-orphan", passive_deletes=True, lazy="raise"
    )

    def change(self, state: State, now: float) -> None:
        """Give it another state, which is an event, and no owner."""
        self.state, self.owner, self.lease_until = state, None, None
        self.sequence += 1
        self.state_sequence = self.sequence
        if state == "running":
            self.started = self.started or now
        if state in ENDED:
            self.ended = now


class JobItem(Base):
    """One item of a job: waiting until `sequence` says that it is done.

    Attributes:
        job_id: The job.
        place: In the request, from 0.
        name: The caller's name for it.
        sequence: Number of the event that told of its end; None while it waits.
        num_requested: Structures of it; of a molecule, those of all stereoisomers together.
        num_returned: Those that were made; kept once the item is done.
        status: `ok`, `partial` or `failed`.
        refusal: Reason and detail if nothing was tried, or all of it was given up.
        file: Else the name of the file that holds it, in `JobFiles`.
    """

    __tablename__ = "job_molecules"
    __table_args__ = (Index("ix_job_molecules_sequence", "job_id", "sequence"),)

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    place: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(String(255))
    sequence: Mapped[int | None] = mapped_column(Integer, default=None)
    num_requested: Mapped[int] = mapped_column(Integer)
    num_returned: Mapped[int] = mapped_column(Integer, default=0)
    status: Mapped[str | None] = mapped_column(String(16), default=None)
    refusal: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True), default=None)
    file: Mapped[str | None] = mapped_column(String(40), default=None)
