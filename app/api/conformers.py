"""POST /v1/conformers: molecules in, ensembles out."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable
from time import monotonic
from typing import Any, TypeVar

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from app.api.examples import REQUEST_EXAMPLES
from app.api.negotiation import JSON, OFFERS, ZIP, Wanted, negotiate
from app.api.results import Outcome, ensembles, to_record
from app.api.schemas import ConformersRequest, ConformersResponse, ProblemDocument
from app.engine.engine import Engine
from app.engine.ticket import Ticket
from app.errors import Problem, invalid
from app.intake.finisher import finish_all
from app.intake.pool import ChildPool
from app.intake.reading import Reading, Refusal
from app.settings import Settings
from models.export.archive import to_zip
from models.export.formats import FORMATS
from models.export.molecule import one_line
from models.options import build_options
from models.structure import Ensemble

router = APIRouter(tags=["conformers"])
_LOOK_EVERY_S = 0.25
_NOT_THE_INPUT = ("stopped", "intake_unavailable")
T = TypeVar("T")
_PROBLEM = {"application/problem+json": {"schema": ProblemDocument.model_json_schema()}}
_PROBLEMS = {
    406: "None of the accepted media types can be made.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    422: "The request is not valid, or no file could be made of it.",
    503: "Starting, full or shutting down; see Retry-After.",
}
_FILES = {
    offer.media_type: {"schema": {"type": "string", **({"format": "binary"} if offer.media_type == ZIP else {})}}
    for offer in OFFERS
    if offer.media_type != JSON
}


@router.post(
    "/v1/conformers",
    operation_id="sample_conformers",
    summary="Sample conformers of molecules",
    response_model=None,
    responses={
        200: {"model": ConformersResponse, "description": "Results; JSON or files.", "content": _FILES},
        **{status: {"description": words, "content": _PROBLEM} for status, words in _PROBLEMS.items()},
    },
    openapi_extra={"requestBody": {"content": {JSON: {"examples": REQUEST_EXAMPLES}}}},
)
async def sample_conformers(body: ConformersRequest, request: Request) -> Response:
    """Sample an ensemble of every molecule.

    Every conformer that comes back is finite, has every bond, no clash, and the requested stereochemistry, perceived
    again from its coordinates.  Each is drawn at most five times; what fails then is reported in `problems`, and a
    molecule whose first 20 draws all fail is given up.  `start` chooses where they begin: at noise, or at guesses of
    ETKDG, which need fewer steps.  `finish` relaxes, prunes and ranks what was sampled.  A molecule that cannot be read
    fails alone.  `Accept` chooses between JSON, one file and a zip.
    """
    settings: Settings = request.app.state.settings
    engine: Engine = request.app.state.engine
    pool: ChildPool = request.app.state.pool
    began = monotonic()
    wanted = negotiate(request.headers.get("accept"))
    check_limits(body, settings, wanted)
    options = build_options(body.start, **body.sampler.model_dump(), half=settings.half)
    engine.check_open(before=pool.requests)
    assert engine.model is not None
    check_model(body, engine)
    seed = secrets.randbelow(2**32) if body.seed is None else body.seed
    names = _names(body)
    readings = [_reading(body, k, names[k], seed) for k in range(len(names))]
    read = await _while_connected(request, pool.read(readings, settings.request_timeout_s))
    read_s = monotonic() - began

    molecules = [m for answer in read if not isinstance(answer, Refusal) for m in answer]
    ticket = Ticket(
        molecules,
        [body.num_conformers] * len(molecules),
        [seed] * len(molecules),
        options,
        began + settings.request_timeout_s,
    )
    sampled = await _sample(ticket, engine, request) if molecules else []
    sampled_at = monotonic()
    made = iter(await _finish(sampled, body, pool, ticket.deadline, request))
    finished_at = monotonic()
    outcomes = []
    for name, answer in zip(names, read, strict=True):
        if isinstance(answer, Refusal):
            outcomes.append(Outcome(name, body.num_conformers, answer))
        else:
            outcomes.extend(Outcome(name, body.num_conformers, next(made)) for _ in answer)
    started = ticket.started or began + read_s
    timing = {"read": read_s, "wait": started - began - read_s, "sample": sampled_at - started}
    timing["finish"] = finished_at - sampled_at
    head = {"model": engine.model.name, "seed": seed, "sampling": options.to_values()}
    return await asyncio.to_thread(_write, body, wanted, outcomes, head, timing, began)


def check_limits(body: ConformersRequest, settings: Settings, wanted: Wanted) -> None:
    """Refuse what is over the limits of this service, or does not fit together.

    Raises:
        Problem: 422 naming the field, the value and what is allowed.
    """
    count, each = len(body.molecules), body.num_conformers
    if count > settings.max_molecules:
        raise invalid("molecules", count, f"{count} molecules are too many", f"1 to {settings.max_molecules}")
    if each > settings.max_conformers:
        raise invalid("num_conformers", each, "that is too many", f"1 to {settings.max_conformers}")
    total = count * each * (body.max_stereoisomers if body.stereo == "enumerate" else 1)
    if total > settings.max_total_conformers:
        raise invalid(
            "num_conformers",
            each,
            f"{total} conformers in all (molecules x conformers x stereoisomers) are too many for one request",
            f"at most {settings.max_total_conformers} in all; send several requests",
        )
    ids = [spec.id for spec in body.molecules if spec.id is not None]
    twice = next((k for k, name in enumerate(ids) if name in ids[:k]), None)
    if twice is not None:
        raise invalid("molecules", ids[twice], f"the id {ids[twice]!r} occurs twice", "ids that differ, or none")
    if wanted.media_type == ZIP and body.format == "json":
        raise invalid("format", "json", "a zip holds structure files", ", ".join(FORMATS))


def check_model(body: ConformersRequest, engine: Engine) -> None:
    """Refuse a model that is not served, or a sampler that it does not have.

    Raises:
        Problem: 422.
        SamplerError: The sampler does not fit the model.
    """
    assert engine.model is not None
    if body.model is not None and body.model != engine.model.name:
        raise invalid("model", body.model, "this model is not served here", engine.model.name)
    engine.model.check_sampler(body.sampler.kind)


async def _sample(ticket: Ticket, engine: Engine, request: Request) -> list[Ensemble]:
    """Wait for the ticket, and stop its work when the caller goes away."""
    engine.submit(ticket)
    try:
        return await _while_connected(request, asyncio.wrap_future(ticket.future))
    except (asyncio.CancelledError, Problem):
        ticket.cancel()
        raise


async def _finish(
    sampled: list[Ensemble], body: ConformersRequest, pool: ChildPool, deadline: float, request: Request
) -> list[Ensemble]:
    """The ensembles relaxed, pruned and ranked as the request asks, without holding the sampler."""
    options = body.finish.options()
    if not options:
        return sampled
    return await _while_connected(request, finish_all(pool, sampled, options, lambda: monotonic() > deadline))


async def _while_connected(request: Request, work: Awaitable[T]) -> T:
    """The result of some work, unless the caller closes the connection first.

    Raises:
        Problem: 499, which only the log will see.
    """
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait([task], timeout=_LOOK_EVERY_S)
            if not task.done() and await request.is_disconnected():
                raise Problem(499, "client_gone", "the caller closed the connection")
        return task.result()
    finally:
        task.cancel()


def _write(
    body: ConformersRequest,
    wanted: Wanted,
    outcomes: list[Outcome],
    head: dict[str, Any],
    timing: dict[str, float],
    began: float,
) -> Response:
    """The answer in the wanted form; runs in a thread, since large ensembles take a while to write."""
    write_began, model = monotonic(), head["model"]
    returned = sum(outcome.returned for outcome in outcomes)
    if wanted.media_type == JSON:
        file_format = FORMATS.get(body.format)
        results = [to_record(outcome, file_format, model) for outcome in outcomes]
        now = monotonic()
        timing = {**timing, "write": now - write_began, "total": now - began}
        rounded = {name: round(seconds, 4) for name, seconds in timing.items()}
        return JSONResponse({**head, "results": results, "timing_s": rounded})
    summary = [{k: v for k, v in to_record(o, None, model).items() if k != "structure"} for o in outcomes]
    if returned == 0:
        if all(problem["reason"] in _NOT_THE_INPUT for entry in summary for problem in entry["problems"]):
            detail = "no structure was finished in time; ask for less, or try again later"
            raise Problem(503, "unavailable", detail, {"Retry-After": "30"}, results=summary)
        first = summary[0]["problems"][0]
        detail = f"none of the molecules gave a structure; {summary[0]['id']}: {first['detail']}"
        raise Problem(422, "invalid_molecule", detail, results=summary)
    headers = {
        "X-Shapespace-Model": model,
        "X-Shapespace-Seed": str(head["seed"]),
        "X-Shapespace-Requested": str(sum(outcome.requested for outcome in outcomes)),
        "X-Shapespace-Returned": str(returned),
        "X-Shapespace-Pruned": str(sum(ensemble.num_pruned for ensemble in ensembles(outcomes))),
        "X-Shapespace-Incomplete": str(sum(not outcome.complete for outcome in outcomes)),
    }
    if wanted.media_type == ZIP:
        manifest = {**head, "results": summary}
        content: bytes = to_zip(ensembles(outcomes), model, FORMATS[body.format], manifest)
        name = "conformers.zip"
    else:
        assert wanted.file_format is not None
        content = wanted.file_format.write(ensembles(outcomes), model).encode()
        name = f"conformers.{wanted.file_format.extension}"
    headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return Response(content, 200, headers, wanted.media_type)


def _reading(body: ConformersRequest, place: int, name: str, seed: int) -> Reading:
    spec = body.molecules[place]
    many = body.max_stereoisomers if body.stereo == "enumerate" else 1
    if spec.smiles is not None:
        return Reading("smiles", spec.smiles, name, seed, many)
    return Reading("molblock", spec.molblock or "", name, seed, many)


def _names(body: ConformersRequest) -> list[str]:
    """The id of each molecule, or the title of its mol block, or its place; a place never repeats an id."""
    taken = {spec.id for spec in body.molecules}
    names = []
    for place, spec in enumerate(body.molecules, start=1):
        title = one_line((spec.molblock or "").split("\n", 1)[0])
        name = spec.id or title or f"molecule-{place}"
        while spec.id is None and name in taken:
            name += "'"
        names.append(name)
    return names
