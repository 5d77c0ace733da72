"""POST /v1/conformers: molecules in, ensembles out."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response

from app.api.answers import write_answer
from app.api.connection import sample, while_connected
from app.api.deferred import prefers_job, principal_of, read_key, respond_as_job, takes_long, work_of
from app.api.documented import PREFER, files, problems
from app.api.door import charge
from app.api.examples import REQUEST_EXAMPLES
from app.api.job_schemas import ConformersJobDetail
from app.api.negotiation import JSON, OFFERS, negotiate
from app.api.orders import build_order, check_limits, read_options
from app.api.results import count
from app.api.schemas import ConformersRequest, ConformersResponse
from app.engine.engine import Engine
from app.engine.ticket import MAIN, Ticket
from app.intake.finisher import finish_all
from app.intake.order import Order, Outcome
from app.intake.pool import ChildPool
from app.intake.reading import Refusal
from app.jobs.service import JobService
from app.settings import Settings
from models.structure import Ensemble

router = APIRouter(tags=["conformers"])


@router.post(
    "/v1/conformers",
    operation_id="sample_conformers",
    summary="Sample conformers of molecules",
    response_model=None,
    responses={
        200: {"model": ConformersResponse, "description": "Results; JSON or files.", "content": files(OFFERS)},
        202: {"model": ConformersJobDetail, "description": "The request is a job now; Location says where."},
        **problems(406, 408, 409, 413, 415, 422, 429, 503),
    },
    openapi_extra={"requestBody": {"content": {JSON: {"examples": REQUEST_EXAMPLES}}}, "parameters": [PREFER]},
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
    wanted = negotiate(request.headers.get("accept"), OFFERS)
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
    sizes = [reading.rough_atoms for reading in order.readings for _ in range(reading.enumerate_up_to)]
    seconds = engine.estimate_s(MAIN, sizes, order.count, options)
    large = work_of(order) > settings.async_above or takes_long(seconds, settings.request_timeout_s)
    later = await respond_as_job(request, body, order, wanted, key, preferred, large, settings.request_timeout_s)
    if later is not None:
        return later

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
    sampled = await sample(ticket, engine, request) if molecules else []
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


async def _finish(
    sampled: list[Ensemble], order: Order, pool: ChildPool, deadline: float, request: Request
) -> list[Ensemble]:
    """The ensembles relaxed, pruned and ranked as the request asks, without holding the sampler."""
    if not order.finish:
        return sampled
    return await while_connected(request, finish_all(pool, sampled, order.finish, lambda: monotonic() > deadline))
