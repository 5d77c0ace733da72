"""A progress bar for a job."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.client.records import JobStatus


@contextmanager
def bar(wanted: bool | Callable[[JobStatus], None]) -> Iterator[Callable[[JobStatus], None] | None]:
    """What to tell about a job: a bar on standard error that goes away in the end, the function given, or nothing."""
    if not isinstance(wanted, bool):
        yield wanted
        return
    if not wanted:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("queued", total=None)

        def tell(job: JobStatus) -> None:
            words = job.state if job.queue_position is None else f"queued behind {job.queue_position}"
            done = max(job.structures_done, job.structures_returned)
            progress.update(task, description=words, total=job.structures, completed=done)

        yield tell
