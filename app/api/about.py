"""What is served and what is allowed: model cards and limits."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from app.intake.limits import limits
from models.weights import read_registry

router = APIRouter(tags=["about"])


@router.get("/v1/models", operation_id="list_models", summary="Model cards")
def list_models(request: Request) -> dict[str, Any]:
    """The card of every registered model; `served` says which ones answer requests."""
    settings = request.app.state.settings
    cards, served = read_registry(settings.weights_dir), (settings.model, settings.backbone_model)
    return {"models": [{"name": name, "served": name in served, **card} for name, card in cards.items()]}


@router.get("/v1/limits", operation_id="list_limits", summary="Limits of requests")
def list_limits(request: Request) -> dict[str, Any]:
    """Sizes, counts, elements, formats and samplers that are allowed."""
    return limits(request.app.state.settings)
