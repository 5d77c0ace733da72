"""Jobs on a service: submit one, look at them, fetch what was made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
_URL = "http://127.0.0.1:8000"
_ENDED_BY_USER = 130


def submit(
    source: Annotated[str, typer.Argument(help="A SMILES, a .smi or .sdf file, or - for SMILES on standard input.")],
    count: Annotated[int, typer.Option("--num-conformers", "-n", min=1, help="Conformers of each molecule.")] = 10,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**53 - 1, help="Same seed, same structures.", show_default="drawn")
    ] = None,
    start: Annotated[
        str | None, typer.Option(help="noise, etkdg or mmff94s.", show_default="the service's, mmff94s")
    ] = None,
    start_time: Annotated[
        float | None, typer.Option(help="Share of the guess at the start.", show_default=False)
    ] = None,
    tries: Annotated[
        int | None, typer.Option(min=1, help="Guesses for each conformer; the lowest is taken.", show_default="1")
    ] = None,
    kind: Annotated[str | None, typer.Option("--sampler", help="ode, heun or sde.", show_default="ode")] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Sampler steps.", show_default="5, from noise 50")
    ] = None,
    schedule: Annotated[
        str | None, typer.Option(help="Time grid: uniform, quadratic or log.", show_default="uniform")
    ] = None,
    stereo: Annotated[
        str | None, typer.Option(help="Stereo left open: sample or enumerate.", show_default="sample")
    ] = None,
    max_stereoisomers: Annotated[int | None, typer.Option(min=1, help="Limit of enumerate.", show_default="8")] = None,
    relax: Annotated[str | None, typer.Option(help="mmff94s.", show_default="off")] = None,
    energies: Annotated[str | None, typer.Option(help="mmff94s.", show_default="off")] = None,
    prune_rmsd: Annotated[float | None, typer.Option(help="Å.", show_default="off")] = None,
    rank: Annotated[bool, typer.Option("--rank", help="Lowest energy first.")] = False,
    energy_window: Annotated[float | None, typer.Option(help="kcal/mol.", show_default="off")] = None,
    file_format: Annotated[
        str | None,
        typer.Option("--format", help="Of the files in a .zip and .json: sdf, pdb, xyz, mmcif.", show_default="sdf"),
    ] = None,
    idempotency_key: Annotated[
        str | None,
        typer.Option(
            help="Your name for this job: with it, the same command never makes another.", show_default="drawn"
        ),
    ] = None,
    url: Url = _URL,
    api_key: ApiKey = None,
) -> None:
    """Submit a job to a service and print its address.

    The job goes on without this command and survives the service.  `shapespace jobs` tells how far it is, and
    `shapespace result` fetches its structures.  The exit code is 0 when the job is there, 2 when it is not.

    Examples:

    `shapespace submit in.smi -n 50 --seed 1`

    `shapespace result $(shapespace submit in.smi -n 50) -o out.sdf`

    `shapespace submit in.sdf --relax mmff94s --rank --url https://shapes.example.org --api-key KEY`
    """
    from app.commands.source import read_source

    molecules, names = [], set[str]()
    for form, text, name in read_source(source):
        while name in names:
            name += "'"
        names.add(name)
        molecules.append({form: text, "id": name})
    sampler = {"kind": kind, "steps": steps, "schedule": schedule, "start_time": start_time, "tries": tries}
    finish = {
        "relax": relax, "energies": energies, "prune_rmsd": prune_rmsd, "rank": rank or None,
        "energy_window": energy_window,
    }  # fmt: skip
    with _client(url, api_key) as client:
        job = client.submit(
            molecules,
            count,
            idempotency_key,
            seed=seed,
            start=start,
            stereo=stereo,
            max_stereoisomers=max_stereoisomers,
            format=file_format,
            sampler=_given(sampler),
            finish=_given(finish),
        )
    typer.echo(f"{url.rstrip('/')}{job.record['links']['self']}")


def jobs(
    job: Annotated[
        str | None, typer.Argument(help="Address or id of one job; all by default.", show_default=False)
    ] = None,
    state: Annotated[
        str | None, typer.Option(help="queued, running, done, failed or cancelled.", show_default="any")
    ] = None,
    cancel: Annotated[bool, typer.Option("--cancel", help="End the job; what it has made stays.")] = False,
    url: Url = _URL,
    api_key: ApiKey = None,
) -> None:
    """List your jobs on a service, newest first, or look at one and its molecules.

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
        with _client(url, api_key) as client:
            show_jobs(client.jobs(state))
        return
    url, job_id = _place(job, url)
    with _client(url, api_key) as client:
        show_job(client.cancel(job_id) if cancel else client.job(job_id))


def result(
    job: Annotated[str, typer.Argument(help="Address or id of the job.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File: .sdf .pdb .xyz .cif .json or .zip.")],
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Fetch what there is now.")] = False,
    url: Url = _URL,
    api_key: ApiKey = None,
) -> None:
    """Wait for a job, with a progress bar, and fetch what it has made.

    Ctrl-C ends the waiting, not the job.  The exit code is 0 when every conformer is there, 1 when something is missing
    or more may come (`shapespace jobs` says what), 2 when there is nothing to write.

    Examples:

    `shapespace result http://127.0.0.1:8000/v1/jobs/ID -o out.sdf`

    `shapespace result ID -o so_far.zip --no-wait`
    """
    from models.errors import FormatError
    from models.export.formats import FORMATS

    media_types = {f".{f.extension}": f.media_type for f in FORMATS.values()}
    media_types |= {".mmcif": FORMATS["mmcif"].media_type, ".json": "application/json", ".zip": "application/zip"}
    if out.suffix.lower() not in media_types:
        raise FormatError(f"--out {out} has an unknown extension; allowed: {', '.join(media_types)}")
    url, job_id = _place(job, url)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with _client(url, api_key) as client:
            found = client.job(job_id) if no_wait else client.wait(job_id, progress=True)
            client.download(job_id, out, media_types[out.suffix.lower()])
    except OSError as error:
        raise FormatError(f"--out {out} cannot be written ({error.strerror}); choose another") from None
    except KeyboardInterrupt:
        typer.echo(f"The job goes on: shapespace result {job} -o {out}", err=True)
        raise typer.Exit(_ENDED_BY_USER) from None
    made = found.record["progress"]
    words = f"{found.state}: {made['conformers_returned']} of {made['conformers']} conformers in {out}"
    typer.echo(words if _complete(found) else f"{words}; see shapespace jobs {job}", err=True)
    raise typer.Exit(0 if _complete(found) else 1)


def _complete(job: JobStatus) -> bool:
    return job.state == "done" and all(molecule["status"] == "ok" for molecule in job.record["molecules"])


def _given(values: dict[str, Any]) -> dict[str, Any] | None:
    return {name: value for name, value in values.items() if value is not None} or None


def _place(job: str, url: str) -> tuple[str, str]:
    """Address of the service and id of a job, whose own address comes first."""
    before, found, job_id = job.rstrip("/").rpartition("/v1/jobs/")
    return (before or url, job_id) if found else (url, job)


@contextmanager
def _client(url: str, api_key: str | None) -> Iterator[Client]:
    """A client whose refusals become one line."""
    from app.client import Client, ServiceError
    from models.errors import ModelError

    try:
        with Client(url, api_key) as client:
            yield client
    except (ServiceError, ValueError) as error:
        raise ModelError(f"{url}: {error}") from None
