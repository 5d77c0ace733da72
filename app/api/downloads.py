"""Results of jobs as responses: whole and in ranges once a job has ended, what there is before."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from collections.abc import Mapping
from pathlib import Path

from fastapi import Response
from fastapi.responses import FileResponse

from app import __version__
from app.api.answers import Answer
from app.api.exports import EXPORTS, Item
from app.api.negotiation import JSON, Wanted
from app.api.orders import check_wanted
from app.database.database import DatabaseError
from app.errors import Problem
from app.intake.reading import Refusal
from app.jobs.files import JobFiles
from app.jobs.kinds import KINDS, AnyOrder, Made
from app.jobs.record import ENDED, Job
from app.jobs.service import JobService

_UNMADE = {
    "failed": "the job failed before this was made",
    "cancelled": "the job was cancelled before this was made",
}


async def respond_with_result(
    service: JobService, job: Job, wanted: Wanted, more: Mapping[str, str] | None = None
) -> Response:
    """What a job has made, in the wanted form.

    Args:
        service: Of the jobs.
        job: With its items.
        wanted: Media type.
        more: Headers to add.

    Raises:
        Problem: 409 when there is no structure yet for a file, 422 when there will be none, 503 when it cannot be read.
    """
    order = await service.call(service.store.order_of, job.id)
    check_wanted(order.file_format, wanted, EXPORTS[job.kind].formats)
    headers = {"X-Shapespace-State": job.state, "Vary": "Accept", **(more or {})}
    try:
        if job.state not in ENDED:
            answer = await asyncio.to_thread(_answer, service.files, job, order, wanted)
            return _plain(answer, {**headers, "Cache-Control": "no-store", "Accept-Ranges": "none"})
        found = await asyncio.to_thread(_kept, service.files, job, order, wanted)
    except OSError as error:
        raise DatabaseError(f"the result cannot be read now ({error}); try again") from error
    if isinstance(found, Answer):
        return _plain(found, headers)
    path, known = found
    etag = hashlib.sha256(f"{job.id} {path.name}".encode()).hexdigest()[:32]
    return FileResponse(path, headers={**known, **headers, "ETag": f'"{etag}"'}, media_type=wanted.media_type)


def _plain(answer: Answer, headers: Mapping[str, str]) -> Response:
    return Response(answer.content, 200, {**answer.headers, **headers}, answer.media_type)


def _kept(files: JobFiles, job: Job, order: AnyOrder, wanted: Wanted) -> tuple[Path, dict[str, str]] | Answer:
    """The answer as a file that every range of it can be taken from, with its headers; without room, as it is."""
    kind = wanted.media_type.rpartition("/")[2]
    try:
        folder = files.answers(job.id)
        path, about = folder / f"{kind}-{__version__}", folder / f"{kind}-{__version__}.headers"
        if path.is_file():
            return path, json.loads(about.read_text())
    except OSError:
        return _answer(files, job, order, wanted)
    answer = _answer(files, job, order, wanted)
    part = folder / f"{kind}.{secrets.token_hex(4)}"
    try:
        for target, content in ((about, json.dumps(answer.headers).encode()), (path, answer.content)):
            part.write_bytes(content)
            part.replace(target)
    except OSError:
        part.unlink(missing_ok=True)
        return answer
    return path, answer.headers


def _answer(files: JobFiles, job: Job, order: AnyOrder, wanted: Wanted) -> Answer:
    export, items = EXPORTS[job.kind], _items(files, job)
    if wanted.media_type != JSON and job.state != "done" and not any(_returned(answer) for _, answer in items):
        detail = f"the job is {job.state} and has no structure yet; ask for JSON, or again later"
        if job.state in ENDED:
            detail = f"the job was {job.state} before there was a structure; submit it again"
        raise Problem(409, "no_result", detail, {} if job.state in ENDED else {"Retry-After": "5"})
    started, ended = job.started or job.ended or job.created, job.ended or job.created
    timing = {"wait": started - job.created, "sample": max(0.0, ended - started), "total": ended - job.created}
    return export.write(order, wanted, items, {**dict.fromkeys(("read", "write", *export.stages), 0.0), **timing})


def _items(files: JobFiles, job: Job) -> list[Item]:
    """Those that are done, in order; of an ended job, all."""
    items: list[Item] = []
    for item in job.items:
        if item.refusal is not None:
            items.append((item.place, Refusal(**item.refusal)))
        elif item.sequence is not None:
            items.append((item.place, KINDS[job.kind].unpack(files.read(job.id, item.file or ""))))
        elif job.state in ENDED:
            reason = (job.problem or {"reason": job.state})["reason"]
            items.append((item.place, Refusal(reason, _UNMADE[job.state])))
    return items


def _returned(answer: Made | Refusal) -> int:
    """Structures of one item."""
    return 0 if isinstance(answer, Refusal) else sum(ensemble.num_returned for ensemble in answer)
