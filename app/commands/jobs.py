"""Jobs on a service: look at them, fetch what was made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from app.client import Client, JobStatus

Url = Annotated[
    str, typer.Option(envvar="SHAPESPACE_URL", help="Address of the service; that of a job goes before it.")
]
ApiKey = Annotated[
    str | None,
    typer.Option(envvar="SHAPESPACE_API_KEY", help="API key, if the service wants one.", show_default=False),
]
URL = "http://127.0.0.1:8000"
_ENDED_BY_USER = 130


def jobs(
    job: Annotated[
        str | None, typer.Argument(help="Address or id of one job; all by default.", show_default=False)
    ] = None,
    state: Annotated[
        str | None, typer.Option(help="queued, running, done, failed or cancelled.", show_default="any")
    ] = None,
    cancel: Annotated[bool, typer.Option("--cancel", help="End the job; what it has made stays.")] = False,
    url: Url = URL,
    api_key: ApiKey = None,
) -> None:
    """List your jobs on a service, newest first, or look at one and its molecules or lengths.

    The exit code is 0, or 2 when the service refuses or cannot be reached.

    Examples:

    `shapespace jobs --state running`

    `shapespace jobs http://127.0.0.1:8000/v1/jobs/ID`

    `shapespace jobs ID --cancel`
    """
    from app.commands.job_table import show_job, show_jobs

    if job is None:
        if cancel:
            raise typer.BadParameter("--cancel needs a job", param_hint="JOB")
        with connect(url, api_key) as client:
            show_jobs(client.jobs(state))
        return
    url, job_id = _place(job, url)
    with connect(url, api_key) as client:
        show_job(client.cancel(job_id) if cancel else client.job(job_id))


def result(
    job: Annotated[str, typer.Argument(help="Address or id of the job.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File: .sdf .pdb .xyz .cif .bcif .json or .zip.")],
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Fetch what there is now.")] = False,
    url: Url = URL,
    api_key: ApiKey = None,
) -> None:
    """Wait for a job, with a progress bar, and fetch what it has made.

    Ctrl-C ends the waiting, not the job.  The exit code is 0 when every structure is there, 1 when something is missing
    or more may come (`shapespace jobs` says what), 2 when there is nothing to write.

    Examples:

    `shapespace result http://127.0.0.1:8000/v1/jobs/ID -o out.sdf`

    `shapespace result ID -o so_far.zip --no-wait`
    """
    from models.errors import FormatError

    suffix = out.suffix.lower()
    known = {kind: _media_types(kind) for kind in ("conformers", "backbones")}
    if not any(suffix in types for types in known.values()):
        raise FormatError(f"--out {out} has an unknown extension; allowed: {', '.join(known['conformers'])}, .bcif")
    url, job_id = _place(job, url)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with connect(url, api_key) as client:
            found = client.job(job_id)
            if suffix not in known[found.kind]:
                raise FormatError(f"--out {out} is not for {found.kind}; allowed: {', '.join(known[found.kind])}")
            if not no_wait:
                found = client.wait(job_id, progress=True)
            client.download(job_id, out, known[found.kind][suffix])
    except OSError as error:
        raise FormatError(f"--out {out} cannot be written ({error.strerror}); choose another") from None
    except KeyboardInterrupt:
        typer.echo(f"The job goes on: shapespace result {job} -o {out}", err=True)
        raise typer.Exit(_ENDED_BY_USER) from None
    words = f"{found.state}: {found.structures_returned} of {found.structures} {found.kind} in {out}"
    typer.echo(words if _complete(found) else f"{words}; see shapespace jobs {job}", err=True)
    raise typer.Exit(0 if _complete(found) else 1)


def _complete(job: JobStatus) -> bool:
    return job.state == "done" and all(entry["status"] == "ok" for entry in job.entries)


def _media_types(kind: str) -> dict[str, str]:
    """Media type by extension, for jobs of a kind."""
    from models.export.backbone_formats import BACKBONE_FORMATS
    from models.export.formats import FORMATS

    formats = FORMATS if kind == "conformers" else BACKBONE_FORMATS
    types = {f".{f.extension}": f.media_type for f in formats.values()}
    return types | {".mmcif": formats["mmcif"].media_type, ".json": "application/json", ".zip": "application/zip"}


def _place(job: str, url: str) -> tuple[str, str]:
    """Address of the service and id of a job, whose own address comes first."""
    before, found, job_id = job.rstrip("/").rpartition("/v1/jobs/")
    return (before or url, job_id) if found else (url, job)


@contextmanager
def connect(url: str, api_key: str | None) -> Iterator[Client]:
    """A client whose refusals become one line."""
    from app.client import Client, ServiceError
    from models.errors import ModelError

    try:
        with Client(url, api_key) as client:
            yield client
    except (ServiceError, ValueError) as error:
        raise ModelError(f"{url}: {error}") from None
