"""Traces by OpenTelemetry, where they are asked for."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from app import __version__
from app.settings import SettingsError
from app.telemetry.logs import shortened

_OF_JOB = re.compile(r"/v1/jobs/([\w-]{8})")
_tracers: list[Any] = []  # of the applications of this process that send traces


def trace_requests(app: FastAPI, endpoint: str) -> Callable[[], None]:
    """Send a span for every request of an application that has not begun yet, and for what `span` is put around.

    Args:
        app: The application.
        endpoint: Where OTLP over HTTP is taken, such as `http://127.0.0.1:4318/v1/traces`.

    Returns:
        What sends the last ones and ends.

    Raises:
        SettingsError: The libraries are not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from starlette.middleware.opentelemetry import OpenTelemetryMiddleware
    except ImportError as error:
        raise SettingsError(
            f"OTEL_ENDPOINT is {endpoint!r}, but {error.name} is not installed; pip install 'shapespace[otel]'"
        ) from None
    resource = Resource.create({"service.name": "shapespace", "service.version": __version__})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)  # ours, not that of the process
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint)))
    probes = (r"/healthz(\?|$)", r"/readyz(\?|$)", r"/metrics(\?|$)")
    app.add_middleware(_Marks)
    app.add_middleware(OpenTelemetryMiddleware, tracer_provider=provider, excluded_urls=probes)
    tracer = provider.get_tracer("shapespace", __version__)
    _tracers.append(tracer)

    def end() -> None:
        _tracers.remove(tracer)
        provider.shutdown()

    return end


@contextmanager
def span(name: str, values: Mapping[str, str | float]) -> Iterator[None]:
    """A span for work that no request waits for, if traces are sent."""
    if not _tracers:
        yield
        return
    attributes = {f"shapespace.{key}": value for key, value in values.items()}
    with _tracers[-1].start_as_current_span(name, attributes=attributes):
        yield


class _Marks:
    """ASGI middleware inside the span of a request: names request and job, of whose id only the begin is told."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            from opentelemetry import trace

            trace.get_current_span().set_attribute("url.path", shortened(scope["path"]))
            request, job = scope.get("state", {}).get("request_id"), _OF_JOB.match(scope["path"])
            note(({"request_id": request} if request else {}) | ({"job": job[1]} if job else {}))
        await self.app(scope, receive, send)


def note(values: Mapping[str, str | float]) -> None:
    """Put values onto the span of the current request, if there is one."""
    if "opentelemetry.sdk.trace" in sys.modules:
        from opentelemetry import trace

        trace.get_current_span().set_attributes({f"shapespace.{name}": value for name, value in values.items()})
