"""Bodies of answers about jobs: the public contract."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, Field

from app.jobs.record import ACTIVE, ENDED, Job, JobItem, State


class JobProblem(BaseModel):
    """Why a job, or something in it, failed."""

    reason: str
    detail: str


class ConformersProgress(BaseModel):
    """How far a job of conformers is."""

    molecules: int
    molecules_done: int
    conformers: int = Field(description="Asked for; stereoisomers are counted once their molecule was read.")
    conformers_done: int = Field(description="Of molecules that are done, whether they were made or given up.")
    conformers_returned: int = Field(description="Made so far, also of molecules that are not done.")


class BackbonesProgress(BaseModel):
    """How far a job of backbones is."""

    lengths: int
    lengths_done: int
    samples: int = Field(description="Asked for.")
    samples_done: int = Field(description="Of lengths that are done, whether they were made or given up.")
    samples_returned: int = Field(description="Made so far, also of lengths that are not done.")


class JobItemRecord(BaseModel):
    """One molecule or one length of a job."""

    place: int = Field(description="In the request, from 0.")
    id: str
    status: str = Field(description="`waiting`, and in the end `ok`, `partial` or `failed`.")
    num_requested: int
    num_returned: int = Field(description="Made so far.")
    problem: JobProblem | None = Field(description="Why nothing was tried.")


class JobRecord(BaseModel):
    """What jobs of all kinds have, without molecules or lengths."""

    id: str
    state: State
    model: str
    created: datetime
    started: datetime | None
    ended: datetime | None
    expires: datetime | None = Field(description="When the job and its result are deleted.")
    queue_position: int | None = Field(description="Jobs that start before this one; null unless it is queued.")
    seconds_left: float | None = Field(description="Estimate from the pace of late; null when nothing is known.")
    problem: JobProblem | None
    links: dict[str, str]


class ConformersJob(JobRecord):
    """A job of conformers."""

    kind: Literal["conformers"]
    progress: ConformersProgress


class BackbonesJob(JobRecord):
    """A job of backbones."""

    kind: Literal["backbones"]
    progress: BackbonesProgress


class ConformersJobDetail(ConformersJob):
    """The same with what became of each molecule."""

    molecules: list[JobItemRecord]


class BackbonesJobDetail(BackbonesJob):
    """The same with what became of each length."""

    lengths: list[JobItemRecord]


AnyJob = Annotated[ConformersJob | BackbonesJob, Field(discriminator="kind")]
AnyJobDetail = Annotated[ConformersJobDetail | BackbonesJobDetail, Field(discriminator="kind")]


class JobPage(BaseModel):
    """Jobs, newest first."""

    jobs: list[AnyJob]
    next: str | None = Field(description="Address of the next page; null on the last.")


class _Kind(NamedTuple):
    """What items and structures of a kind are called, and the records that say so."""

    item: str
    structure: str
    progress: type[BaseModel]
    record: Any
    detail: Any


_KINDS = {
    "conformers": _Kind("molecule", "conformer", ConformersProgress, ConformersJob, ConformersJobDetail),
    "backbones": _Kind("length", "sample", BackbonesProgress, BackbonesJob, BackbonesJobDetail),
}


def item_of(job: Job) -> str:
    """What one item of a job is, as events and records call it."""
    return _KINDS[job.kind].item


def to_job(job: Job, position: int | None, seconds_left: float | None, retention_s: float) -> AnyJobDetail:
    """A job and its items."""
    record = dict(to_summary(job, position, seconds_left, retention_s))
    kind = _KINDS[job.kind]
    found: AnyJobDetail = kind.detail(**record, **{f"{kind.item}s": [to_item(item) for item in job.items]})
    return found


def to_summary(job: Job, position: int | None, seconds_left: float | None, retention_s: float) -> AnyJob:
    """A job without its items."""
    own = f"/v1/jobs/{job.id}"
    kind = _KINDS[job.kind]
    counts = {
        f"{kind.item}s": job.num_items,
        f"{kind.item}s_done": job.num_done,
        f"{kind.structure}s": job.num_structures,
        f"{kind.structure}s_done": job.num_structures_done,
        f"{kind.structure}s_returned": job.num_returned,
    }
    found: AnyJob = kind.record(
        id=job.id,
        state=job.state,
        kind=job.kind,
        model=job.model,
        created=_time(job.created),
        started=_time(job.started) if job.started else None,
        ended=_time(job.ended) if job.ended else None,
        expires=_time(job.ended + retention_s) if job.ended and job.state in ENDED else None,
        progress=kind.progress(**counts),
        queue_position=position,
        seconds_left=seconds_left if job.state in ACTIVE else None,
        problem=JobProblem(**job.problem) if job.problem else None,
        links={"self": own, "events": f"{own}/events", "result": f"{own}/result"},
    )
    return found


def to_item(item: JobItem) -> JobItemRecord:
    """One molecule or length of a job."""
    return JobItemRecord(
        place=item.place,
        id=item.name,
        status=item.status or "waiting",
        num_requested=item.num_requested,
        num_returned=item.num_returned,
        problem=JobProblem(**item.refusal) if item.refusal else None,
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
