"""GET /metrics for Prometheus, GET /v1/stats for people."""

from __future__ import annotations

import math
from time import monotonic
from typing import Any

from fastapi import APIRouter, Request, Response
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from app import __version__
from app.telemetry.metrics import Metrics

router = APIRouter(tags=["monitoring"])


@router.get(
    "/metrics",
    operation_id="metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus text."}},
)
def read_metrics(request: Request) -> Response:
    """Counters, histograms and gauges, each with its unit and meaning."""
    metrics: Metrics = request.app.state.metrics
    return Response(generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})


@router.get("/v1/stats", operation_id="stats", summary="What the service does now, for people")
def read_stats(request: Request) -> dict[str, Any]:
    """The same in short: what is running and waiting, counts since the start, and how long the latest requests took."""
    metrics: Metrics = request.app.state.metrics
    engine = request.app.state.engine
    now: dict[str, Any] = {}
    for figure in metrics.live():
        name = "_".join([figure.name, *figure.labels.values()])
        now[name] = round(figure.value, 4) if math.isfinite(figure.value) else None
    return {
        "version": __version__,
        "model": engine.model.name if engine.model else None,
        "state": engine.state,
        "uptime_s": round(monotonic() - metrics.began, 1),
        "now": now,
        "since_start": metrics.totals(),
        "latest_s": metrics.percentiles(),
    }
