"""`create_app(settings)`: builds database, pool, engine and routes, and closes them."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import structlog
import torch
from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from starlette.middleware.body_limit import RequestBodyLimitMiddleware

from app import __version__
from app.api import about, conformers, health, jobs
from app.api.handlers import install_handlers
from app.api.middleware import RequestContext
from app.database.database import Database, open_database
from app.engine.engine import Engine
from app.intake.guesser import PoolGuesser
from app.intake.pool import ChildPool
from app.jobs.files import open_files
from app.jobs.lease import Leases
from app.jobs.maker import Maker
from app.jobs.service import JobService
from app.jobs.store import JobStore
from app.settings import Settings
from models.data.molecule import build_molecules, read_smiles
from models.weights import Model, load_model, pick_device

_DESCRIPTION = """Samples 3D structures in shape space. Post SMILES, get conformers whose geometry and stereochemistry
were checked one by one. Same seed, same structures."""


def create_app(settings: Settings) -> FastAPI:
    """The application; the model loads in the background once it starts."""
    configure_logs(settings.log_level)
    database = open_database(settings)
    pool = ChildPool(settings.parse_processes, settings.parse_timeout_s, settings.parse_memory_mb)
    engine = Engine(
        partial(load, settings),
        lambda: build_molecules(read_smiles("CCO"), 0)[0],
        settings.max_waiting,
        partial(PoolGuesser, pool),
    )

    service = build_jobs(settings, database, engine, pool)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        database.upgrade()
        pool.start()
        engine.start()
        await service.start()
        yield
        await service.stop()
        service.close()
        engine.close()
        pool.close()
        database.close()

    app = FastAPI(title="Shapespace", version=__version__, description=_DESCRIPTION, lifespan=lifespan)
    app.state.settings, app.state.pool, app.state.engine = settings, pool, engine
    app.state.database, app.state.jobs = database, service
    for room in (conformers, jobs, about, health):
        app.include_router(room.router)
    app.add_api_route("/", lambda: RedirectResponse("/docs"), include_in_schema=False)
    install_handlers(app)
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=int(settings.max_body_mb * 1e6))
    app.add_middleware(RequestContext, max_body_bytes=int(settings.max_body_mb * 1e6))
    _document_limits(app, settings)
    return app


def build_jobs(settings: Settings, database: Database, engine: Engine, pool: ChildPool) -> JobService:
    """The jobs of this server."""
    return JobService(
        JobStore(database, settings.max_jobs),
        Leases(database, secrets.token_urlsafe(16), settings.job_lease_s),
        open_files(settings),
        engine,
        Maker(engine, pool, settings.job_in_flight),
        settings.jobs_at_once,
        settings.job_retention_h * 3600,
    )


def load(settings: Settings) -> Model:
    """The model of the settings, on their device."""
    if settings.threads:
        torch.set_num_threads(settings.threads)
    return load_model(settings.model, settings.weights_dir, pick_device(settings.device))


def configure_logs(level: str) -> None:
    """JSON lines on standard error."""
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=_StandardError()),  # type: ignore[arg-type]
    )


class _StandardError:
    """Standard error of the moment, which tests and servers may replace."""

    def write(self, text: str) -> int:
        import sys

        return sys.stderr.write(text)

    def flush(self) -> None:
        import sys

        sys.stderr.flush()


def _document_limits(app: FastAPI, settings: Settings) -> None:
    """Put the limits of this service into its OpenAPI document."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        document = plain()
        fields = document["components"]["schemas"]["ConformersRequest"]["properties"]
        fields["molecules"]["maxItems"] = settings.max_molecules
        fields["num_conformers"]["maximum"] = settings.max_conformers
        return document

    app.openapi = openapi  # type: ignore[method-assign]
