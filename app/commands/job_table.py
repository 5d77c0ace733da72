"""Jobs as tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from app.client import JobStatus

_WIDE = 200  # columns where there is no terminal, so that nothing is cut


def show_jobs(jobs: Sequence[JobStatus]) -> None:
    """One line for each job."""
    table = _table("JOB", "STATE", "MOLECULES", "CONFORMERS", "SUBMITTED", "")
    for job in jobs:
        table.add_row(*_cells(job))
    _show(table)


def show_job(job: JobStatus) -> None:
    """A job, and one line for each molecule."""
    show_jobs([job])
    molecules = _table("MOLECULE", "STATE", "CONFORMERS", "")
    for molecule in job.record["molecules"]:
        counts = f"{molecule['num_returned']}/{molecule['num_requested']}"
        molecules.add_row(molecule["id"], molecule["status"], counts, (molecule["problem"] or {}).get("detail", ""))
    _show(molecules)


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


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=column in ("JOB", "STATE"), overflow="fold")
    return table


def _show(table: Table) -> None:
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console = Console(markup=False, highlight=False, width=_WIDE)
    console.print(table)
