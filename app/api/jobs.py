"""GET, list and cancel jobs; their results, and a stream of their events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event

from app.api.backbone_schemas import BackbonesResponse
from app.api.deferred import principal_of
from app.api.documented import files, problems
from app.api.downloads import respond_with_result
from app.api.exports import EXPORTS
from app.api.job_schemas import AnyJobDetail, JobPage, item_of, to_item, to_job, to_summary
from app.api.negotiation import BACKBONE_OFFERS, OFFERS, negotiate
from app.api.schemas import ConformersResponse
from app.errors import Problem, invalid
from app.jobs.record import ENDED, State
from app.jobs.service import JobService

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])
_PING_EVERY = 15  # looks
_LOOK_EVERY_S = 1.0
_PAUSE_S = 0.1  # so that many streams of a fast job leave the database alone
_RETRY_MS = 2000


def service_of(request: Request) -> JobService:
    """The jobs of this application."""
    return request.app.state.jobs


Service = Annotated[JobService, Depends(service_of)]
Principal = Annotated[str, Depends(principal_of)]


@router.get("", operation_id="list_jobs", summary="Jobs, newest first", responses=problems(422, 503))
async def list_jobs(
    service: Service,
    principal: Principal,
    state: State | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    before: Annotated[str | None, Query(max_length=43, description="Id of the last job of the page before.")] = None,
) -> JobPage:
    """Your jobs without their molecules or lengths."""
    jobs = await service.call(service.store.page, principal, state, limit + 1, before)
    shown = jobs[:limit]
    query = {"limit": limit, "before": shown[-1].id} if len(jobs) > limit else None
    if query and state:
        query["state"] = state
    records = [to_summary(job, *await service.outlook(job), service.retention_s) for job in shown]
    return JobPage(jobs=records, next=f"/v1/jobs?{urlencode(query)}" if query else None)


@router.get("/{job_id}", operation_id="get_job", summary="How far a job is", responses=problems(404, 503))
async def get_job(job_id: str, service: Service, principal: Principal) -> AnyJobDetail:
    """State, progress of each molecule or length, place in the queue, and an estimate of the time that is left."""
    job = await service.call(service.store.find, job_id, principal)
    return to_job(job, *await service.outlook(job), service.retention_s)


@router.delete("/{job_id}", operation_id="cancel_job", summary="Cancel a job", responses=problems(404, 503))
async def cancel_job(job_id: str, service: Service, principal: Principal) -> AnyJobDetail:
    """End a job unless it has ended; what it has made by then can still be fetched."""
    job = await service.cancel(job_id, principal)
    return to_job(job, None, None, service.retention_s)


@router.get(
    "/{job_id}/result",
    operation_id="get_job_result",
    summary="What a job has made",
    response_model=None,
    responses={
        200: {
            "model": ConformersResponse | BackbonesResponse,
            "description": "Results; JSON or files.",
            "content": files((*OFFERS, *BACKBONE_OFFERS)),
        },
        206: {"description": "Part of the result of a job that has ended, for `Range`."},
        416: {"description": "There is no such part."},
        **problems(404, 406, 409, 422, 503),
    },
)
async def get_job_result(job_id: str, request: Request, service: Service, principal: Principal) -> Response:
    """The answer that the request itself would have given, by `Accept`; while the job runs, what is done of it.

    `X-Shapespace-State` says whether more will come.  Once a job has ended, its result can be fetched in ranges.
    """
    job = await service.call(service.store.find, job_id, principal)
    wanted = negotiate(request.headers.get("accept"), EXPORTS[job.kind].offers)
    return await respond_with_result(service, job, wanted)


@router.get(
    "/{job_id}/events",
    operation_id="watch_job",
    summary="Events of a job as they happen",
    response_model=None,
    responses={
        200: {"description": "Events.", "content": {EventSourceResponse.media_type: {"schema": {"type": "string"}}}},
        204: {"description": "There is nothing after the event named."},
        **problems(404, 422, 503),
    },
)
async def watch_job(
    job_id: str,
    service: Service,
    principal: Principal,
    last_event_id: Annotated[str | None, Header(description="Go on after this event.")] = None,
) -> Response:
    """Server-sent events: `molecule` or `length` for each that is done, `state` for a start, a new wait or the end.

    The stream ends with the job.  `Last-Event-ID` resumes it anywhere, also on another server or after a restart.
    """
    after = _event_number(last_event_id)
    job = await service.call(service.store.find, job_id, principal)
    if job.state in ENDED and after >= job.sequence:
        return Response(status_code=204)  # tells a browser not to come back
    return EventSourceResponse(_stream(service, job_id, after), headers={"Cache-Control": "no-store"})


def _event_number(text: str | None) -> int:
    if text is None or text == "":
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise invalid("Last-Event-ID", text, "there is no such event", "an id of this stream, or none")
    return int(text)


async def _stream(service: JobService, job_id: str, after: int) -> AsyncIterator[bytes]:
    yield format_sse_event(retry=_RETRY_MS)
    idle = 0
    while not service.closing:
        changes = service.changes
        try:
            job, items = await service.call(service.store.events, job_id, after)
            outlook = await service.outlook(job)
        except Problem:  # gone, or the database is: who comes back will be told
            return
        events: list[tuple[int, str, Any]] = [(i.sequence or 0, item_of(job), to_item(i)) for i in items]
        if job.state_sequence > after:
            state = to_summary(job, *outlook, service.retention_s)
            events.append((job.state_sequence, "state", state))
        for number, name, record in sorted(events, key=lambda event: event[0]):
            yield format_sse_event(data_str=record.model_dump_json(), event=name, id=str(number))
        if job.state in ENDED:
            return
        idle = 0 if events else idle + 1
        after = job.sequence
        if idle == _PING_EVERY:
            idle = 0
            yield KEEPALIVE_COMMENT
        await asyncio.sleep(_PAUSE_S)
        if service.changes == changes:
            await service.news(_LOOK_EVERY_S)
