"""Jobs as tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from app.client import JobStatus
from app.commands.tables import new_table, show

_WHOLE = ("JOB", "STATE")


def show_jobs(jobs: Sequence[JobStatus]) -> None:
    """One line for each job."""
    table = new_table("JOB", "STATE", "MOLECULES", "CONFORMERS", "SUBMITTED", "", whole=_WHOLE)
    for job in jobs:
        table.add_row(*_cells(job))
    show(table)


def show_job(job: JobStatus) -> None:
    """A job, and one line for each molecule."""
    show_jobs([job])
    molecules = new_table("MOLECULE", "STATE", "CONFORMERS", "", whole=_WHOLE)
    for molecule in job.record["molecules"]:
        counts = f"{molecule['num_returned']}/{molecule['num_requested']}"
        molecules.add_row(molecule["id"], molecule["status"], counts, (molecule["problem"] or {}).get("detail", ""))
    show(molecules)


def _cells(job: JobStatus) -> tuple[str, ...]:
    made: dict[str, Any] = job.record["progress"]
    words = [] if job.queue_position is None else [f"{job.queue_position} before it"]
    if job.seconds_left is not None:
        words.append(f"about {job.seconds_left:.0f} s left")
    if job.record["problem"]:
        words.append(job.record["problem"]["detail"])
    share = f"{job.molecules_done}/{job.molecules} ({job.molecules_done / max(1, job.molecules):.0%})"
    submitted = datetime.fromisoformat(job.record["created"]).astimezone().strftime("%Y-%m-%d %H:%M")
    conformers = f"{made['conformers_returned']}/{made['conformers']}"
    return job.id, job.state, share, conformers, submitted, ", ".join(words)
