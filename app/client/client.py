"""The client that waits in its thread."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from app.client.backbones import Backbones
from app.client.exchange import SDF, Call, Exchange, Exchanges, Lengths, Molecules, Pause, T
from app.client.progress import bar
from app.client.records import Ensembles, JobStatus

_URL = "http://127.0.0.1:8000"
Progress = bool | Callable[[JobStatus], None]


def options(url: str | None, api_key: str | None, timeout_s: float, more: dict[str, Any]) -> dict[str, Any]:
    """What clients of httpx are made with; see `Client`."""
    url = url or os.environ.get("SHAPESPACE_URL") or _URL
    key = (api_key or os.environ.get("SHAPESPACE_API_KEY") or "").strip()
    try:
        known = httpx.URL(url).scheme in ("http", "https") and httpx.URL(url).host
    except httpx.InvalidURL:
        known = False
    if not known:
        raise ValueError(f"the address of the service is {url!r}; allowed: http://HOST:PORT or https://HOST")
    if not (key.isascii() and key.isprintable()):
        raise ValueError("the API key has characters that no key has; copy it again")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return {"base_url": url, "headers": headers, "timeout": httpx.Timeout(timeout_s, connect=10.0), **more}


class Client:
    """A service, asked from a thread.

    Requests carry an Idempotency-Key, so that those without an answer can be repeated without being done twice.  A full
    service is asked again when it says (`Retry-After`).  All methods raise a `ServiceError` when the service refuses.

    Args:
        url: Of the service; by default `SHAPESPACE_URL` of the environment, or this machine.
        api_key: If the service wants one; by default `SHAPESPACE_API_KEY` of the environment.
        retries: How often a call is repeated that got no answer, or was told to come later.
        timeout_s: For one answer, s.
        more: For `httpx.Client`.

    Raises:
        ValueError: The address or the key cannot be used.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        retries: int = 5,
        timeout_s: float = 630.0,
        **more: Any,
    ) -> None:
        self._http = httpx.Client(**options(url, api_key, timeout_s, more))
        self._exchanges = Exchanges(retries)

    def sample(
        self,
        molecules: Molecules,
        num_conformers: int = 10,
        progress: Progress = False,
        idempotency_key: str | None = None,
        **fields: Any,
    ) -> Ensembles:
        """Conformers of molecules.

        Args:
            molecules: A SMILES, or several, or mappings with `smiles` or `molblock` and perhaps `id`.
            num_conformers: Of each.
            progress: True for a bar, or what is called with the state of the job; makes the request a job.
            idempotency_key: Name of the request, so that it is carried out once even if this process is lost; drawn
                by default.
            fields: More of the request, such as `seed`, `start`, `sampler`, `finish` and `stereo`.
        """
        with bar(progress) as tell:
            return self._run(
                self._exchanges.sample(molecules, tell, idempotency_key, num_conformers=num_conformers, **fields)
            )

    def submit(
        self, molecules: Molecules, num_conformers: int = 10, idempotency_key: str | None = None, **fields: Any
    ) -> JobStatus:
        """Make a job of a request like that of `sample`."""
        return self._run(self._exchanges.submit(molecules, idempotency_key, num_conformers=num_conformers, **fields))

    def backbones(
        self,
        lengths: Lengths = None,
        num_samples: int = 4,
        progress: Progress = False,
        idempotency_key: str | None = None,
        **fields: Any,
    ) -> Backbones:
        """Protein backbones of one or several lengths.

        Args:
            lengths: Residues of each; may be left out where `start` gives a structure.
            num_samples: Of each.
            progress: As of `sample`.
            idempotency_key: Likewise.
            fields: More of the request, such as `seed`, `sampler`, `condition`, `start`, `fixed` and `at`.
        """
        with bar(progress) as tell:
            return self._run(
                self._exchanges.backbones(lengths, tell, idempotency_key, num_samples=num_samples, **fields)
            )

    def submit_backbones(
        self, lengths: Lengths = None, num_samples: int = 4, idempotency_key: str | None = None, **fields: Any
    ) -> JobStatus:
        """Make a job of a request like that of `backbones`."""
        return self._run(self._exchanges.submit_backbones(lengths, idempotency_key, num_samples=num_samples, **fields))

    def wait(self, job_id: str, progress: Progress = False) -> JobStatus:
        """Wait until a job has ended."""
        with bar(progress) as tell:
            return self._run(self._exchanges.wait(job_id, tell))

    def job(self, job_id: str) -> JobStatus:
        """How far a job is."""
        return self._run(self._exchanges.job(job_id))

    def jobs(self, state: str | None = None) -> list[JobStatus]:
        """All jobs, newest first, or those in one state."""
        return self._run(self._exchanges.jobs(state))

    def cancel(self, job_id: str) -> JobStatus:
        """End a job unless it has ended."""
        return self._run(self._exchanges.cancel(job_id))

    def result(self, job_id: str) -> Ensembles | Backbones:
        """What a job has made so far, by its kind; all of it once it is done.

        Raises:
            ValueError: They are only for files: molecules in another format than SDF, or backbones as arrays.
        """
        return self._run(self._exchanges.result(job_id))

    def download(self, job_id: str, out: Path | str, media_type: str = SDF) -> None:
        """The same into a file, whole or not at all, without holding it in memory."""
        part = Path(f"{out}.part")
        try:
            self._run(self._exchanges.download(job_id, part, media_type))
            part.replace(out)
        finally:
            part.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def _run(self, exchange: Exchange[T]) -> T:
        try:
            step = next(exchange)
            while True:
                if isinstance(step, Pause):
                    time.sleep(step.seconds)
                    step = exchange.send(None)
                else:
                    step = exchange.send(self._reply(step))
        except StopIteration as end:
            return end.value

    def _reply(self, call: Call) -> httpx.Response | httpx.TransportError:
        try:
            with self._http.stream(call.method, call.path, **call.words) as response:
                if call.out is None or not response.is_success:
                    response.read()
                    return response
                with call.out.open("wb") as stream:
                    for chunk in response.iter_bytes():
                        stream.write(chunk)
                return response
        except httpx.TransportError as error:
            return error
