"""Jobs as tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from app.client import JobStatus
from app.commands.tables import new_table, show

_WHOLE = ("JOB", "KIND", "STATE")


def show_jobs(jobs: Sequence[JobStatus]) -> None:
    """One line for each job."""
    table = new_table("JOB", "KIND", "STATE", "DONE", "MADE", "SUBMITTED", "", whole=_WHOLE)
    for job in jobs:
        table.add_row(*_cells(job))
    show(table)


def show_job(job: JobStatus) -> None:
    """A job, and one line for each molecule or length."""
    show_jobs([job])
    entries = new_table("NAME", "STATE", "MADE", "", whole=_WHOLE)
    for entry in job.entries:
        counts = f"{entry['num_returned']}/{entry['num_requested']}"
        entries.add_row(entry["id"], entry["status"], counts, (entry["problem"] or {}).get("detail", ""))
    show(entries)


def _cells(job: JobStatus) -> tuple[str, ...]:
    words = [] if job.queue_position is None else [f"{job.queue_position} before it"]
    if job.seconds_left is not None:
        words.append(f"about {job.seconds_left:.0f} s left")
    if job.record["problem"]:
        words.append(job.record["problem"]["detail"])
    share = f"{job.items_done}/{job.items} ({job.items_done / max(1, job.items):.0%})"
    submitted = datetime.fromisoformat(job.record["created"]).astimezone().strftime("%Y-%m-%d %H:%M")
    made = f"{job.structures_returned}/{job.structures}"
    return job.id, job.kind, job.state, share, made, submitted, ", ".join(words)
