"""Bodies of answers about jobs: the public contract."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import BaseModel, Field

from app.jobs.record import ACTIVE, ENDED, Job, JobMolecule, State


class JobProblem(BaseModel):
    """Why a job or a molecule failed."""

    reason: str
    detail: str


class JobProgress(BaseModel):
    """How far a job is."""

    molecules: int
    molecules_done: int
    conformers: int = Field(description="Asked for; stereoisomers are counted once their molecule was read.")
    conformers_done: int = Field(description="Of molecules that are done, whether they were made or given up.")
    conformers_returned: int


class JobMoleculeRecord(BaseModel):
    """One molecule of a job."""

    place: int = Field(description="In the request, from 0.")
    id: str
    status: str = Field(description="`waiting`, and in the end `ok`, `partial` or `failed`.")
    num_requested: int
    num_returned: int
    problem: JobProblem | None = Field(description="Why nothing was tried.")


class JobRecord(BaseModel):
    """A job, without its molecules."""

    id: str
    state: State
    model: str
    created: datetime
    started: datetime | None
    ended: datetime | None
    expires: datetime | None = Field(description="When the job and its result are deleted.")
    progress: JobProgress
    queue_position: int | None = Field(description="Jobs that start before this one; null unless it is queued.")
    seconds_left: float | None = Field(description="Estimate from the pace of late; null when nothing is known.")
    problem: JobProblem | None
    links: dict[str, str]


class JobDetail(JobRecord):
    """A job with what became of each molecule."""

    molecules: list[JobMoleculeRecord]


class JobPage(BaseModel):
    """Jobs, newest first."""

    jobs: list[JobRecord]
    next: str | None = Field(description="Address of the next page; null on the last.")


def to_job(job: Job, position: int | None, seconds_left: float | None, retention_s: float) -> JobDetail:
    """A job and its molecules."""
    record = to_summary(job, position, seconds_left, retention_s)
    return JobDetail(**dict(record), molecules=[to_molecule(molecule) for molecule in job.molecules])


def to_summary(job: Job, position: int | None, seconds_left: float | None, retention_s: float) -> JobRecord:
    """A job without its molecules."""
    own = f"/v1/jobs/{job.id}"
    progress = JobProgress(
        molecules=job.num_molecules,
        molecules_done=job.num_done,
        conformers=job.num_conformers,
        conformers_done=job.num_conformers_done,
        conformers_returned=job.num_returned,
    )
    return JobRecord(
        id=job.id,
        state=job.state,
        model=job.model,
        created=_time(job.created),
        started=_time(job.started) if job.started else None,
        ended=_time(job.ended) if job.ended else None,
        expires=_time(job.ended + retention_s) if job.ended and job.state in ENDED else None,
        progress=progress,
        queue_position=position,
        seconds_left=seconds_left if job.state in ACTIVE else None,
        problem=JobProblem(**job.problem) if job.problem else None,
        links={"self": own, "events": f"{own}/events", "result": f"{own}/result"},
    )


def to_molecule(molecule: JobMolecule) -> JobMoleculeRecord:
    """One molecule of a job."""
    return JobMoleculeRecord(
        place=molecule.place,
        id=molecule.name,
        status=molecule.status or "waiting",
        num_requested=molecule.num_requested,
        num_returned=molecule.num_returned,
        problem=JobProblem(**molecule.refusal) if molecule.refusal else None,
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
