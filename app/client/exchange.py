"""What is sent and what is made of the answers; the clients differ only in how they wait."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import httpx

from app.client.backbones import Backbones, to_backbones
from app.client.problems import retry_after_s, to_error
from app.client.records import Ensembles, JobStatus, to_ensembles, to_job

SDF = "chemical/x-mdl-sdfile"
_LATER = (408, 429, 502, 503, 504)
_POLL_S = (0.2, 2.0)  # first and longest pause between two looks at a job
_FIRST_PAUSE_S, _MAX_PAUSE_S = 0.25, 60.0
_PAGE = 100  # jobs
_PATIENCE = 3  # times more retries while a job is waited for: it outlives its server, which may be starting again
CONFORMERS, BACKBONES = "/v1/conformers", "/v1/backbones"
Molecules = str | Iterable[str | Mapping[str, str]]
Lengths = int | Iterable[int] | None
Body = dict[str, Any]
Tell = Callable[[JobStatus], None]


@dataclass(frozen=True)
class Call:
    """One HTTP request.

    Attributes:
        method: GET, POST, ...
        path: Behind the address of the service.
        json: Body.
        headers: Beside those of every request.
        params: Query.
        out: File for the body of a successful answer, which may be large; None keeps it in memory.
    """

    method: str
    path: str
    json: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    out: Path | None = None

    @property
    def words(self) -> dict[str, Any]:
        """For httpx, beside method and path."""
        return {"json": self.json, "headers": self.headers, "params": self.params or None}


@dataclass(frozen=True)
class Pause:
    """Time to wait, s."""

    seconds: float


T = TypeVar("T")
Reply = httpx.Response | httpx.TransportError | None
Exchange = Generator[Call | Pause, Reply, T]


class Exchanges:
    """Each is a generator of calls and pauses that is sent the replies.

    Args:
        retries: How often a call is repeated that got no answer, or was told to come later.
    """

    def __init__(self, retries: int) -> None:
        self._retries = retries

    def sample(
        self, molecules: Molecules, progress: Tell | None, idempotency_key: str | None, **fields: Any
    ) -> Exchange[Ensembles]:
        """Conformers, waited for whether the service makes a job of it or not."""
        body = _molecules(molecules, fields | {"format": "sdf"})
        return to_ensembles((yield from self._sample(CONFORMERS, body, progress, idempotency_key)))

    def submit(self, molecules: Molecules, idempotency_key: str | None, **fields: Any) -> Exchange[JobStatus]:
        """Make a job of it."""
        return (yield from self._submit(CONFORMERS, _molecules(molecules, fields), idempotency_key))

    def backbones(
        self, lengths: Lengths, progress: Tell | None, idempotency_key: str | None, **fields: Any
    ) -> Exchange[Backbones]:
        """Backbones, likewise."""
        body = _lengths(lengths, fields | {"format": "bcif"})
        return to_backbones((yield from self._sample(BACKBONES, body, progress, idempotency_key)))

    def submit_backbones(self, lengths: Lengths, idempotency_key: str | None, **fields: Any) -> Exchange[JobStatus]:
        """Make a job of it."""
        return (yield from self._submit(BACKBONES, _lengths(lengths, fields), idempotency_key))

    def wait(self, job_id: str, progress: Tell | None) -> Exchange[JobStatus]:
        """Wait until a job has ended."""
        job, pause_s = (yield from self.job(job_id)), _POLL_S[0]
        while True:
            if progress is not None:
                progress(job)
            if job.ended:
                return job
            yield Pause(pause_s)
            pause_s = min(1.5 * pause_s, _POLL_S[1])
            job = yield from self.job(job_id, _PATIENCE * self._retries)

    def job(self, job_id: str, retries: int | None = None) -> Exchange[JobStatus]:
        """How far a job is."""
        response = yield from self._call(Call("GET", _path(job_id)), retries)
        return to_job(response.json())

    def jobs(self, state: str | None) -> Exchange[list[JobStatus]]:
        """All jobs, newest first."""
        found, path, params = [], "/v1/jobs", {"limit": _PAGE} | ({"state": state} if state else {})
        while path:
            page = (yield from self._call(Call("GET", path, params=params))).json()
            found += [to_job(record) for record in page["jobs"]]
            path, params = page["next"], {}
        return found

    def cancel(self, job_id: str) -> Exchange[JobStatus]:
        """End a job."""
        response = yield from self._call(Call("DELETE", _path(job_id)))
        return to_job(response.json())

    def result(self, job_id: str) -> Exchange[Ensembles | Backbones]:
        """What a job has made so far."""
        answer = yield from self._result(job_id)
        return to_backbones(answer) if "residue" in answer else to_ensembles(answer)

    def download(self, job_id: str, out: Path, media_type: str) -> Exchange[None]:
        """The same into a file."""
        yield from self._call(Call("GET", f"{_path(job_id)}/result", headers={"Accept": media_type}, out=out))

    def _sample(self, path: str, body: Body, progress: Tell | None, key: str | None) -> Exchange[Any]:
        """The answer in JSON, of the request or of the job that it has become."""
        prefer = {"Prefer": "respond-async"} if progress else {}  # only a job has progress
        response = yield from self._post(path, body, {"Accept": "application/json", **prefer}, key)
        if response.status_code == 202:
            job = yield from self.wait(response.json()["id"], progress)
            return (yield from self._result(job.id))
        return response.json()

    def _submit(self, path: str, body: Body, key: str | None) -> Exchange[JobStatus]:
        response = yield from self._post(path, body, {"Prefer": "respond-async"}, key)
        return to_job(response.json())

    def _result(self, job_id: str) -> Exchange[Any]:
        return (yield from self._call(Call("GET", f"{_path(job_id)}/result"))).json()

    def _post(self, path: str, body: Body, headers: dict[str, str], key: str | None) -> Exchange[httpx.Response]:
        """A request that can be repeated, since it has a key: the service carries it out once."""
        headers = headers | {"Idempotency-Key": key or secrets.token_urlsafe(16)}
        given = {name: value for name, value in body.items() if value is not None}
        return (yield from self._call(Call("POST", path, given, headers)))

    def _call(self, call: Call, retries: int | None = None) -> Exchange[httpx.Response]:
        """The answer to one call.

        Raises:
            ServiceError: It is a problem, or there is none after all retries, or the service wants more patience.
        """
        tried, limit = 0, self._retries if retries is None else retries
        while True:
            reply = yield call
            if isinstance(reply, httpx.Response) and reply.is_success:
                return reply
            being_served = _is_being_served(reply)
            if isinstance(reply, httpx.Response) and reply.status_code not in _LATER and not being_served:
                raise to_error(reply)
            told_s = retry_after_s(reply) if isinstance(reply, httpx.Response) else None
            if (tried >= limit and not being_served) or (told_s or 0.0) > _MAX_PAUSE_S:
                raise to_error(reply)
            pause_s = min(_FIRST_PAUSE_S * 2**tried, _MAX_PAUSE_S) if told_s is None else told_s
            yield Pause(pause_s * random.uniform(1.0, 1.25))  # so that many clients do not come back together
            tried += not being_served


def _molecules(molecules: Molecules, fields: Body) -> Body:
    """Body of a request for conformers."""
    given = [molecules] if isinstance(molecules, str) else molecules
    return {"molecules": [{"smiles": m} if isinstance(m, str) else dict(m) for m in given], **fields}


def _lengths(lengths: Lengths, fields: Body) -> Body:
    """Body of a request for backbones."""
    given = [lengths] if isinstance(lengths, int) else lengths
    return {"lengths": None if given is None else [int(length) for length in given], **fields}


def _path(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}"


def _is_being_served(reply: Reply) -> bool:
    """Whether this is the answer to a call that was repeated while the service works on it."""
    return isinstance(reply, httpx.Response) and reply.status_code == 409 and to_error(reply).reason == "in_progress"
