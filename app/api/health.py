"""Liveness and readiness."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from app import __version__

router = APIRouter(tags=["health"])


@router.get("/healthz", operation_id="health", summary="Is the process alive?")
async def health() -> dict[str, str]:
    """Answers as long as the process does."""
    return {"status": "ok", "version": __version__}


@router.get("/readyz", operation_id="ready", summary="Can it sample?", responses={503: {"description": "Not now."}})
def ready(request: Request) -> JSONResponse:
    """200 once a real sample was made, 503 with the reason before and after trouble."""
    engine = request.app.state.engine
    state = engine.state
    return JSONResponse({"status": state, "detail": engine.detail}, 200 if state == "ready" else 503)
