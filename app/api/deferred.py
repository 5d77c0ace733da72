"""Requests that become jobs: because the caller prefers it, because they are long, or to be safe to repeat."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from time import monotonic

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from app.api.connection import while_connected
from app.api.downloads import respond_with_result
from app.api.job_schemas import to_job
from app.api.negotiation import Wanted
from app.errors import Problem, invalid
from app.intake.order import Order
from app.jobs.kinds import AnyOrder
from app.jobs.record import ACTIVE, Job
from app.jobs.service import JobService
from app.telemetry.tracing import note

PREFER = "respond-async"
MAX_KEY_CHARS = 255
_USUAL_STEPS = 50
_LOOK_EVERY_S = 1.0
_MOST_OF_TIMEOUT = 0.5  # of a request may go for sampling, if all goes well; what takes longer becomes a job


def principal_of(request: Request) -> str:
    """Who asks: jobs belong to them."""
    return getattr(request.state, "principal", "anonymous")


def prefers_job(headers: Sequence[str]) -> bool:
    """Whether `Prefer` headers (RFC 7240) hold `respond-async`."""
    words = (word.split(";")[0].split("=")[0].strip().lower() for line in headers for word in line.split(","))
    return PREFER in words


def work_of(order: Order) -> float:
    """Work of a request, in conformers from noise with the usual number of steps."""
    return order.most_conformers * order.options.calls / _USUAL_STEPS


def takes_long(seconds: float, timeout_s: float) -> bool:
    """Whether sampling is likely to need more time than a request has, by an estimate of the engine."""
    return seconds > _MOST_OF_TIMEOUT * timeout_s


def read_key(key: str | None) -> str | None:
    """The Idempotency-Key of a request, if it has one.

    Raises:
        Problem: 422 for one that is empty, too long, or not printable.
    """
    if key is not None and not (0 < len(key) <= MAX_KEY_CHARS and key.isascii() and key.isprintable()):
        raise invalid("Idempotency-Key", key, "this key cannot be used", f"1 to {MAX_KEY_CHARS} printable characters")
    return key


async def respond_as_job(
    request: Request,
    body: BaseModel,
    order: AnyOrder,
    wanted: Wanted,
    key: str | None,
    preferred: bool,
    large: bool,
    timeout_s: float,
) -> Response | None:
    """The answer to a request that is carried out as a job; None for one that is not.

    Args:
        request: With its principal.
        body: Of the request.
        order: What it asks for.
        wanted: Media type.
        key: Its Idempotency-Key.
        preferred: Whether the caller asked for a job.
        large: Whether it is too much work to wait for.
        timeout_s: How long a request with a key is waited for, s.

    Raises:
        Problem: 409 while the first request with this key is still being served, 422 if that was another request, 503
            as of `JobStore.submit`.
    """
    if preferred or large:
        job, _ = await _submit(request, body, order, key, False)
        return await _accepted(request.app.state.jobs, job, {"Preference-Applied": PREFER} if preferred else {})
    return None if key is None else await _respond_once(request, body, order, wanted, key, timeout_s)


async def _respond_once(
    request: Request, body: BaseModel, order: AnyOrder, wanted: Wanted, key: str, timeout_s: float
) -> Response:
    """Carry a request out as a job and wait; the same key gets the same answer again, and nothing is done twice."""
    service: JobService = request.app.state.jobs
    deadline = monotonic() + timeout_s
    job, new = await _submit(request, body, order, key, True)
    if not new and job.state in ACTIVE:
        detail = f"the request with this Idempotency-Key is being served as job {job.id}; ask again later"
        raise Problem(409, "in_progress", detail, {"Retry-After": "5", "Location": f"/v1/jobs/{job.id}"})
    while job.state in ACTIVE and monotonic() < deadline and not service.closing:
        await while_connected(request, service.news(_LOOK_EVERY_S))
        job = await service.call(service.store.find, job.id, job.principal)
    if job.state in ACTIVE:
        return await _accepted(service, job, {})
    more = {"Idempotency-Replayed": "false" if new else "true", "Content-Location": f"/v1/jobs/{job.id}/result"}
    return await respond_with_result(service, job, wanted, more)


async def _submit(
    request: Request, body: BaseModel, order: AnyOrder, key: str | None, interactive: bool
) -> tuple[Job, bool]:
    service: JobService = request.app.state.jobs
    body_hash = hashlib.sha256(body.model_dump_json().encode()).hexdigest() if key is not None else None
    job, new = await service.submit(order, principal_of(request), key=key, body_hash=body_hash, interactive=interactive)
    note({"job": job.id[:8]})
    return job, new


async def _accepted(service: JobService, job: Job, headers: dict[str, str]) -> Response:
    content = to_job(job, *await service.outlook(job), service.retention_s).model_dump(mode="json")
    headers |= {"Location": f"/v1/jobs/{job.id}", "Retry-After": "2"}
    return JSONResponse(content, 202, headers)
