"""Outcomes to the bytes of an answer: JSON, one file, or a zip; the same for requests and for jobs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

from fastapi.responses import JSONResponse

from app.api.negotiation import JSON, ZIP, Wanted
from app.api.results import ensembles, to_record
from app.errors import Problem
from app.intake.order import Order, Outcome
from models.export.archive import to_zip
from models.export.formats import FORMATS

_NOT_THE_INPUT = ("stopped", "intake_unavailable")


@dataclass(frozen=True)
class Answer:
    """Content of a response, and the headers that describe it."""

    content: bytes
    media_type: str
    headers: dict[str, str]


def write_answer(
    order: Order, wanted: Wanted, outcomes: Sequence[Outcome], timing: dict[str, float], began: float | None = None
) -> Answer:
    """The answer in the wanted form; takes a while for large ensembles, so call it in a thread.

    Args:
        order: What was asked for.
        wanted: Media type.
        outcomes: Of each molecule, in order.
        timing: Seconds of each part.
        began: When the request came, on the monotonic clock, s: the times of writing and of all are then added.

    Raises:
        Problem: 422 or 503 when there is no structure to put into a file; it holds what became of each molecule.
    """
    model = order.model
    returned = sum(outcome.returned for outcome in outcomes)
    if wanted.media_type == JSON:
        file_format, timing = FORMATS.get(order.file_format), dict(timing)
        with stop_clock(timing, began):
            results = [to_record(outcome, file_format, model) for outcome in outcomes]
        return to_json(order.head, results, timing)
    summary = [{k: v for k, v in to_record(o, None, model).items() if k != "structure"} for o in outcomes]
    if returned == 0:
        if all(problem["reason"] in _NOT_THE_INPUT for entry in summary for problem in entry["problems"]):
            detail = "no structure was finished in time; ask for less, or try again later"
            raise Problem(503, "unavailable", detail, {"Retry-After": "30"}, results=summary)
        first = summary[0]["problems"][0]
        detail = f"none of the molecules gave a structure; {summary[0]['id']}: {first['detail']}"
        raise Problem(422, "invalid_molecule", detail, results=summary)
    requested = sum(outcome.requested for outcome in outcomes)
    headers = describe(model, order.seed, requested, returned, sum(not outcome.complete for outcome in outcomes))
    headers["X-Shapespace-Pruned"] = str(sum(ensemble.num_pruned for ensemble in ensembles(outcomes)))
    if wanted.media_type == ZIP:
        manifest = {**order.head, "results": summary}
        content = to_zip(ensembles(outcomes), model, FORMATS[order.file_format], manifest)
        return attach(content, ZIP, "conformers.zip", headers)
    assert wanted.file_format is not None
    content = wanted.file_format.write(ensembles(outcomes), model).encode()
    return attach(content, wanted.media_type, f"conformers.{wanted.file_format.extension}", headers)


@contextmanager
def stop_clock(timing: dict[str, float], began: float | None) -> Iterator[None]:
    """Add the times of writing and of all to `timing`, s; nothing is added if `began` is None."""
    write_began = monotonic()
    yield
    if began is not None:
        now = monotonic()
        timing.update(write=now - write_began, total=now - began)


def to_json(head: dict[str, Any], results: list[dict[str, Any]], timing: dict[str, float]) -> Answer:
    """An answer in JSON."""
    rounded = {name: round(seconds, 4) for name, seconds in timing.items()}
    return Answer(bytes(JSONResponse({**head, "results": results, "timing_s": rounded}).body), JSON, {})


def describe(model: str, seed: int, requested: int, returned: int, incomplete: int) -> dict[str, str]:
    """Headers that say of a file what JSON would."""
    return {
        "X-Shapespace-Model": model,
        "X-Shapespace-Seed": str(seed),
        "X-Shapespace-Requested": str(requested),
        "X-Shapespace-Returned": str(returned),
        "X-Shapespace-Incomplete": str(incomplete),
    }


def attach(content: bytes, media_type: str, name: str, headers: dict[str, str]) -> Answer:
    """An answer that is a file of this name."""
    return Answer(content, media_type, {**headers, "Content-Disposition": f'attachment; filename="{name}"'})
