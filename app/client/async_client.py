"""The client that waits in its event loop."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from app.client.backbones import Backbones
from app.client.client import Progress, options
from app.client.exchange import SDF, Call, Exchange, Exchanges, Lengths, Molecules, Pause, T
from app.client.progress import bar
from app.client.records import Ensembles, JobStatus


class AsyncClient:
    """A service, asked from an event loop; the methods are those of `Client`."""

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        retries: int = 5,
        timeout_s: float = 630.0,
        **more: Any,
    ) -> None:
        self._http = httpx.AsyncClient(**options(url, api_key, timeout_s, more))
        self._exchanges = Exchanges(retries)

    async def sample(
        self,
        molecules: Molecules,
        num_conformers: int = 10,
        progress: Progress = False,
        idempotency_key: str | None = None,
        **fields: Any,
    ) -> Ensembles:
        """Conformers of molecules; see `Client.sample`."""
        with bar(progress) as tell:
            return await self._run(
                self._exchanges.sample(molecules, tell, idempotency_key, num_conformers=num_conformers, **fields)
            )

    async def submit(
        self, molecules: Molecules, num_conformers: int = 10, idempotency_key: str | None = None, **fields: Any
    ) -> JobStatus:
        """Make a job of a request like that of `sample`."""
        return await self._run(
            self._exchanges.submit(molecules, idempotency_key, num_conformers=num_conformers, **fields)
        )

    async def backbones(
        self,
        lengths: Lengths = None,
        num_samples: int = 4,
        progress: Progress = False,
        idempotency_key: str | None = None,
        **fields: Any,
    ) -> Backbones:
        """Protein backbones of one or several lengths; see `Client.backbones`."""
        with bar(progress) as tell:
            return await self._run(
                self._exchanges.backbones(lengths, tell, idempotency_key, num_samples=num_samples, **fields)
            )

    async def submit_backbones(
        self, lengths: Lengths = None, num_samples: int = 4, idempotency_key: str | None = None, **fields: Any
    ) -> JobStatus:
        """Make a job of a request like that of `backbones`."""
        return await self._run(
            self._exchanges.submit_backbones(lengths, idempotency_key, num_samples=num_samples, **fields)
        )

    async def wait(self, job_id: str, progress: Progress = False) -> JobStatus:
        """Wait until a job has ended."""
        with bar(progress) as tell:
            return await self._run(self._exchanges.wait(job_id, tell))

    async def job(self, job_id: str) -> JobStatus:
        """How far a job is."""
        return await self._run(self._exchanges.job(job_id))

    async def jobs(self, state: str | None = None) -> list[JobStatus]:
        """All jobs, newest first, or those in one state."""
        return await self._run(self._exchanges.jobs(state))

    async def cancel(self, job_id: str) -> JobStatus:
        """End a job unless it has ended."""
        return await self._run(self._exchanges.cancel(job_id))

    async def result(self, job_id: str) -> Ensembles | Backbones:
        """What a job has made so far, by its kind; all of it once it is done; see `Client.result`."""
        return await self._run(self._exchanges.result(job_id))

    async def download(self, job_id: str, out: Path | str, media_type: str = SDF) -> None:
        """The same into a file, whole or not at all, without holding it in memory."""
        part = Path(f"{out}.part")
        try:
            await self._run(self._exchanges.download(job_id, part, media_type))
            part.replace(out)
        finally:
            part.unlink(missing_ok=True)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        await self.close()

    async def _run(self, exchange: Exchange[T]) -> T:
        try:
            step = next(exchange)
            while True:
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                    step = exchange.send(None)
                else:
                    step = exchange.send(await self._reply(step))
        except StopIteration as end:
            return end.value

    async def _reply(self, call: Call) -> httpx.Response | httpx.TransportError:
        try:
            async with self._http.stream(call.method, call.path, **call.words) as response:
                if call.out is None or not response.is_success:
                    await response.aread()
                    return response
                with call.out.open("wb") as stream:
                    async for chunk in response.aiter_bytes():
                        stream.write(chunk)
                return response
        except httpx.TransportError as error:
            return error
