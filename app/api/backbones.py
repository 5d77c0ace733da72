"""POST /v1/backbones: lengths in, protein backbones out."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response

from app.api.backbone_answers import count_backbones, write_backbones
from app.api.backbone_orders import (
    build_order,
    check_limits,
    check_work,
    find_model,
    read_lengths,
    read_options,
    work_of,
)
from app.api.backbone_schemas import BackbonesRequest, BackbonesResponse
from app.api.connection import sample, while_connected
from app.api.deferred import prefers_job, principal_of, read_key, respond_as_job, takes_long
from app.api.documented import PREFER, files, problems
from app.api.door import charge
from app.api.examples import BACKBONE_EXAMPLES
from app.api.job_schemas import BackbonesJobDetail
from app.api.negotiation import BACKBONE_OFFERS, JSON, negotiate
from app.api.results import count_time
from app.engine.engine import Engine
from app.engine.ticket import BACKBONES, Ticket
from app.errors import Problem
from app.intake.pool import ChildPool
from app.intake.reading import Refusal
from app.intake.templating import Templating
from app.jobs.service import JobService
from app.settings import Settings
from app.telemetry.metrics import Metrics
from models.data.motif import Template

router = APIRouter(tags=["backbones"])


@router.post(
    "/v1/backbones",
    operation_id="sample_backbones",
    summary="Sample protein backbones",
    response_model=None,
    responses={
        200: {"model": BackbonesResponse, "description": "Results; JSON or files.", "content": files(BACKBONE_OFFERS)},
        202: {"model": BackbonesJobDetail, "description": "The request is a job now; Location says where."},
        **problems(404, 406, 408, 409, 413, 415, 422, 429, 503),
    },
    openapi_extra={"requestBody": {"content": {JSON: {"examples": BACKBONE_EXAMPLES}}}, "parameters": [PREFER]},
)
async def sample_backbones(
    body: BackbonesRequest,
    request: Request,
    idempotency_key: Annotated[str | None, Header(description="Your name for the request, to send it again.")] = None,
) -> Response:
    """Sample backbones of every length: N, CA, C and O of each residue.

    Every backbone that comes back has no break, no two atoms on each other, bonds, angles and peptides as nature
    has them, L residues, right-handed helices, and at least nine of ten residues where nature allows their
    torsions; `quality` has the figures.  Each is drawn at most five times; what fails then is missing, and `reason`
    says why, unless `keep_failed` asks for it.  `condition` says what the chains shall be like, `start` gives a
    structure to begin at, and `fixed` residues of it that keep their shape.  `Accept` chooses between JSON, one
    file and a zip with a table of quality.

    With `Prefer: respond-async`, or when it is a lot of work, the answer is 202 and the address of a job.  With an
    `Idempotency-Key` a request can be sent again without being carried out again.
    """
    settings: Settings = request.app.state.settings
    engine: Engine = request.app.state.engine
    pool: ChildPool = request.app.state.pool
    metrics: Metrics = request.app.state.metrics
    began = monotonic()
    wanted = negotiate(request.headers.get("accept"), BACKBONE_OFFERS)
    check_limits(body, settings, wanted)
    options = read_options(body, settings)
    check_work(body, body.lengths or [], options, settings)
    preferred, key = prefers_job(request.headers.getlist("prefer")), read_key(idempotency_key)
    if BACKBONES not in engine.served or not (preferred or key):
        engine.check_open(before=pool.requests)
    model = find_model(engine, body.model)
    template = await _read(body, request, pool) if body.start is not None else None
    lengths = read_lengths(body, template)
    check_work(body, lengths, options, settings)
    order = build_order(body, options, model, wanted, template)
    jobs: JobService = request.app.state.jobs
    if key is None or not await jobs.call(jobs.store.knows, principal_of(request), key):
        charge(request, order.requested, "num_samples")  # what is asked for again costs nothing
    seconds = engine.estimate_s(BACKBONES, lengths, order.count, options)
    large = work_of(lengths, order.count, options) > settings.async_above_residues
    large = large or takes_long(seconds, settings.request_timeout_s)
    later = await respond_as_job(request, body, order, wanted, key, preferred, large, settings.request_timeout_s)
    if later is not None:
        return later

    blueprints = await asyncio.to_thread(lambda: [order.blueprint(place) for place in range(len(lengths))])
    counts = [order.count] * len(blueprints)
    deadline = began + settings.request_timeout_s
    ticket = Ticket(blueprints, counts, order.seeds, options, deadline, model=BACKBONES)
    read_s = monotonic() - began
    made = await sample(ticket, engine, request)
    sampled_at = monotonic()
    started = ticket.started or began + read_s
    timing = {"read": read_s, "wait": started - began - read_s, "sample": sampled_at - started}
    count_backbones(metrics, order, made)
    count_time(metrics, {**timing, "total": sampled_at - began})
    written = await asyncio.to_thread(write_backbones, order, wanted, made, timing, began)
    return Response(written.content, 200, written.headers, written.media_type)


async def _read(body: BackbonesRequest, request: Request, pool: ChildPool) -> Template:
    """The structure of `start`, read where it can do no harm.

    Raises:
        Problem: 422 if it cannot be used, 503 if there is no process to read it.
    """
    assert body.start is not None
    settings: Settings = request.app.state.settings
    job = Templating(body.start.structure, body.start.chain, tuple(body.fixed or ()), tuple(body.at or ()))
    (answer,) = await while_connected(request, pool.read([job], settings.request_timeout_s))
    if isinstance(answer, Refusal):
        if answer.reason in ("stopped", "intake_unavailable"):
            raise Problem(503, "unavailable", answer.detail, {"Retry-After": "30"})
        raise Problem(422, answer.reason, answer.detail)
    return answer
