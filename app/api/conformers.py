"""POST /v1/conformers: molecules in, ensembles out."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response

from app.api.answers import write_answer
from app.api.connection import while_connected
from app.api.deferred import prefers_job, principal_of, read_key, respond_later, respond_once, work_of
from app.api.door import charge
from app.api.examples import REQUEST_EXAMPLES
from app.api.job_schemas import JobDetail
from app.api.negotiation import JSON, OFFERS, ZIP, negotiate
from app.api.orders import build_order, check_limits, read_options
from app.api.results import count
from app.api.schemas import ConformersRequest, ConformersResponse, ProblemDocument
from app.engine.engine import Engine
from app.engine.ticket import Ticket
from app.errors import Problem
from app.intake.finisher import finish_all
from app.intake.order import Order, Outcome
from app.intake.pool import ChildPool
from app.intake.reading import Refusal
from app.jobs.service import JobService
from app.settings import Settings
from models.structure import Ensemble

router = APIRouter(tags=["conformers"])
_PROBLEMS = {
    404: "There is no such job, or it is not yours.",
    406: "None of the accepted media types can be made.",
    408: "The body did not arrive in time.",
    409: "Not yet: the first request with this Idempotency-Key is being served, or there is no structure yet.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    422: "The request is not valid, or no file could be made of it.",
    429: "Your quota is used up; see Retry-After and RateLimit.",
    503: "Starting, full or shutting down, or no database; see Retry-After.",
}
FILES = {
    offer.media_type: {"schema": {"type": "string", **({"format": "binary"} if offer.media_type == ZIP else {})}}
    for offer in OFFERS
    if offer.media_type != JSON
}

_PREFER = {
    "name": "Prefer",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "`respond-async` makes it a job.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Problem documents of some statuses, for the OpenAPI document."""
    content = {"application/problem+json": {"schema": ProblemDocument.model_json_schema()}}
    return {status: {"description": _PROBLEMS[status], "content": content} for status in statuses}


@router.post(
    "/v1/conformers",
    operation_id="sample_conformers",
    summary="Sample conformers of molecules",
    response_model=None,
    responses={
        200: {"model": ConformersResponse, "description": "Results; JSON or files.", "content": FILES},
        202: {"model": JobDetail, "description": "The request is a job now; Location says where."},
        **problems(406, 408, 409, 413, 415, 422, 429, 503),
    },
    openapi_extra={"requestBody": {"content": {JSON: {"examples": REQUEST_EXAMPLES}}}, "parameters": [_PREFER]},
)
async def sample_conformers(
    body: ConformersRequest,
    request: Request,
    idempotency_key: Annotated[str | None, Header(description="Your name for the request, to send it again.")] = None,
) -> Response:
    """Sample an ensemble of every molecule.

    Every conformer that comes back is finite, has every bond, no clash, and the requested stereochemistry, perceived
    again from its coordinates.  Each is drawn at most five times; what fails then is reported in `problems`, and a
    molecule whose first 20 draws all fail is given up.  `start` chooses where they begin: at noise, or at guesses of
    ETKDG, which need fewer steps.  `finish` relaxes, prunes and ranks what was sampled.  A molecule that cannot be read
    fails alone.  `Accept` chooses between JSON, one file and a zip.

    With `Prefer: respond-async`, or when it is a lot of work, the answer is 202 and the address of a job.  With an
    `Idempotency-Key` a request can be sent again without being carried out again.
    """
    settings: Settings = request.app.state.settings
    engine: Engine = request.app.state.engine
    pool: ChildPool = request.app.state.pool
    began = monotonic()
    wanted = negotiate(request.headers.get("accept"))
    check_limits(body, settings, wanted)
    options = read_options(body, settings)
    preferred, key = prefers_job(request.headers.getlist("prefer")), read_key(idempotency_key)
    if engine.model is None or not (preferred or key):
        engine.check_open(before=pool.requests)
    assert engine.model is not None
    order = build_order(body, options, engine.model)
    jobs: JobService = request.app.state.jobs
    if key is None or not await jobs.call(jobs.store.knows, principal_of(request), key):
        charge(request, order.most_conformers)  # what is asked for again costs nothing
    if preferred or work_of(order) > settings.async_above:
        return await respond_later(request, body, order, key, preferred)
    if key is not None:
        return await respond_once(request, body, order, wanted, key, settings.request_timeout_s)

    read = await while_connected(request, pool.read(list(order.readings), settings.request_timeout_s))
    read_s = monotonic() - began
    molecules = [m for answer in read if not isinstance(answer, Refusal) for m in answer]
    ticket = Ticket(
        molecules,
        [order.count] * len(molecules),
        [order.seed] * len(molecules),
        options,
        began + settings.request_timeout_s,
    )
    sampled = await _sample(ticket, engine, request) if molecules else []
    sampled_at = monotonic()
    made = iter(await _finish(sampled, order, pool, ticket.deadline, request))
    finished_at = monotonic()
    outcomes = []
    for reading, answer in zip(order.readings, read, strict=True):
        if isinstance(answer, Refusal):
            outcomes.append(Outcome(reading.name, order.count, answer))
        else:
            outcomes.extend(Outcome(reading.name, order.count, next(made)) for _ in answer)
    started = ticket.started or began + read_s
    timing = {"read": read_s, "wait": started - began - read_s, "sample": sampled_at - started}
    timing["finish"] = finished_at - sampled_at
    count(request.app.state.metrics, outcomes, {**timing, "total": monotonic() - began})
    written = await asyncio.to_thread(write_answer, order, wanted, outcomes, timing, began)
    return Response(written.content, 200, written.headers, written.media_type)


async def _sample(ticket: Ticket, engine: Engine, request: Request) -> list[Ensemble]:
    """Wait for the ticket, and stop its work when the caller goes away."""
    engine.submit(ticket)
    try:
        return await while_connected(request, asyncio.wrap_future(ticket.future))
    except (asyncio.CancelledError, Problem):
        ticket.cancel()
        raise


async def _finish(
    sampled: list[Ensemble], order: Order, pool: ChildPool, deadline: float, request: Request
) -> list[Ensemble]:
    """The ensembles relaxed, pruned and ranked as the request asks, without holding the sampler."""
    if not order.finish:
        return sampled
    return await while_connected(request, finish_all(pool, sampled, order.finish, lambda: monotonic() > deadline))
