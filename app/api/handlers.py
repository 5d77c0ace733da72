"""Errors raised anywhere in a request to problem documents."""

from __future__ import annotations

from typing import Any, get_args

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from app.api.backbone_schemas import BackbonesRequest
from app.api.middleware import too_large
from app.api.schemas import ConformersRequest
from app.engine.engine import EngineError
from app.errors import Problem, invalid_fields, problem_of, shown
from models.errors import ModelError

_SHOWN, _FIELD_CHARS = 20, 80
_KINDS = {
    "string_type": "text (a string)",
    "int_type": "a whole number (an integer)",
    "int_from_float": "a whole number (an integer)",
    "list_type": "a list",
    "model_type": "an object",
    "model_attributes_type": "an object",
}
_PLACES = ("body", "query", "path", "header")
_BODIES: dict[str, type[BaseModel]] = {"/v1/backbones": BackbonesRequest}  # of all others it is ConformersRequest
_BOUNDS = {"ge": "at least {}", "gt": "more than {}", "le": "at most {}", "lt": "less than {}", "expected": "{}"}
_LENGTHS = {"min_length": "at least {} long", "max_length": "at most {} long", "pattern": "text matching {}"}


def install_handlers(app: FastAPI) -> None:
    """Answer every error of the application with a problem document."""

    def answer(problem: Problem, request: Request) -> JSONResponse:
        request.state.reason = problem.reason
        return problem.response(request.state.request_id)

    @app.exception_handler(Problem)
    async def on_problem(request: Request, error: Problem) -> JSONResponse:
        return answer(error, request)

    @app.exception_handler(ModelError)
    async def on_model_error(request: Request, error: ModelError) -> JSONResponse:
        return answer(problem_of(error), request)

    @app.exception_handler(EngineError)
    async def on_engine_error(request: Request, error: EngineError) -> JSONResponse:
        return answer(problem_of_engine(error), request)

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return answer(_problem_of_validation(request, error), request)

    @app.exception_handler(ClientDisconnect)
    async def on_disconnect(request: Request, error: ClientDisconnect) -> JSONResponse:
        return answer(Problem(499, "client_gone", "the caller closed the connection"), request)

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> JSONResponse:
        return answer(_problem_of_http(request, error), request)


def problem_of_engine(error: EngineError) -> Problem:
    """A refusal of the engine as a problem."""
    return Problem(503, error.reason, str(error), {"Retry-After": str(error.retry_after_s)})


def _problem_of_validation(request: Request, error: RequestValidationError) -> Problem:
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    of_body = any(e["loc"] and e["loc"][0] == "body" for e in error.errors())
    if of_body and kind != "application/json" and not kind.endswith("+json"):
        detail = (
            f"Content-Type is {kind!r:.80}; allowed: application/json. With curl: -H 'Content-Type: application/json'"
        )
        return Problem(415, "unsupported_media_type", detail)
    errors = error.errors()
    broken = next((e for e in errors if e["type"] == "json_invalid"), None)
    if broken is not None:
        place = broken["loc"][-1] if broken["loc"] else 0
        return Problem(422, "invalid_json", f"at character {place}: {broken.get('ctx', {}).get('error', 'not JSON')}")
    body = _BODIES.get(request.url.path, ConformersRequest)
    return invalid_fields([_field_error(e, body) for e in errors[:_SHOWN]], len(errors))


def _problem_of_http(request: Request, error: HTTPException) -> Problem:
    path = request.url.path[:100]
    if error.status_code == 404:
        return Problem(404, "not_found", f"nothing at {path!r}; see /docs for what there is")
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        detail = f"{request.method} is not allowed at {path!r}; allowed: {allowed}"
        return Problem(405, "method_not_allowed", detail, dict(error.headers or {}))
    if error.status_code == 413:
        return too_large(None, int(request.app.state.settings.max_body_mb * 1e6))
    if error.status_code == 408:
        detail = f"{error.detail}; send it faster, or in smaller parts"
        return Problem(408, "too_slow", detail, {"Connection": "close"})
    if isinstance(error.__cause__, ClientDisconnect):
        return Problem(499, "client_gone", "the caller closed the connection")
    if error.status_code == 400:
        return Problem(422, "invalid_json", "the body cannot be read as JSON in UTF-8; see /docs for an example")
    return Problem(error.status_code, "http_error", str(error.detail), dict(error.headers or {}))


def _field_error(error: Any, body: type[BaseModel]) -> dict[str, Any]:
    """One pydantic error in words."""
    path = [part for part in error["loc"] if part not in _PLACES]
    field = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).lstrip(".")[:_FIELD_CHARS] or "body"
    message = str(error["msg"]).removeprefix("Value error, ").replace("Input should", "should")
    return {
        "field": field,
        "value": shown(error.get("input")),
        "message": message,
        "allowed": _allowed(error, path, body),
    }


def _allowed(error: Any, path: list[int | str], body: type[BaseModel]) -> str:
    if error["type"] in ("extra_forbidden", "missing"):
        return "the fields " + ", ".join(_model_at(path[:-1], body).model_fields)
    if error["type"] in _KINDS:
        return _KINDS[error["type"]]
    context = error.get("ctx", {})
    words = [text.format(context[key]) for key, text in (_BOUNDS | _LENGTHS).items() if key in context]
    if error["type"] in ("too_short", "too_long"):
        words = [word.replace(" long", " items") for word in words]
    return ", ".join(words) or str(error["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")


def _model_at(path: list[int | str], body: type[BaseModel]) -> type[BaseModel]:
    """The part of a body that a path leads to."""
    for part in path:
        if isinstance(part, str) and part in body.model_fields:
            body = _model_in(body.model_fields[part].annotation) or body
    return body


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The first model that a type speaks of."""
    if inner := get_args(annotation):
        return next((found for part in inner if (found := _model_in(part))), None)
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
