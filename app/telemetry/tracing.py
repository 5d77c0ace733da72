"""Traces by OpenTelemetry, where they are asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

from fastapi import FastAPI

from app import __version__
from app.settings import SettingsError


def trace_requests(app: FastAPI, endpoint: str) -> Callable[[], None]:
    """Send a span for every request of an application that has not begun yet.

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
    app.add_middleware(OpenTelemetryMiddleware, tracer_provider=provider, excluded_urls=probes)
    return provider.shutdown


def note(values: Mapping[str, str | float]) -> None:
    """Put values onto the span of the current request, if there is one."""
    if "opentelemetry.sdk.trace" in sys.modules:
        from opentelemetry import trace

        trace.get_current_span().set_attributes({f"shapespace.{name}": value for name, value in values.items()})
