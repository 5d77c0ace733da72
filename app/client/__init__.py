"""Ask a Shapespace service from Python: `Client`, or `AsyncClient` in an event loop."""

from app.client.async_client import AsyncClient
from app.client.backbones import BackboneResult, Backbones
from app.client.client import Client
from app.client.problems import (
    AccessError,
    BusyError,
    NotFoundError,
    RequestError,
    ServiceError,
    UnreachableError,
)
from app.client.records import Ensembles, JobStatus, Result

__all__ = [
    "AccessError",
    "AsyncClient",
    "BackboneResult",
    "Backbones",
    "BusyError",
    "Client",
    "Ensembles",
    "JobStatus",
    "NotFoundError",
    "RequestError",
    "Result",
    "ServiceError",
    "UnreachableError",
]
