"""`create_app(settings)`: builds database, pool, engine and routes, and closes them."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import torch
from fastapi import Depends, FastAPI
from fastapi.responses import RedirectResponse
from starlette.middleware.body_limit import RequestBodyLimitMiddleware

from app import __version__
from app.access.quotas import Quotas
from app.access.ring import KeyRing
from app.access.store import KeyStore
from app.api import about, backbones, conformers, health, jobs, monitoring
from app.api.door import Door, document_keys, needs
from app.api.exports import count_made
from app.api.figures import figures, of_jobs
from app.api.handlers import install_handlers, problem_of_engine
from app.api.middleware import RequestContext
from app.database.database import Database, open_database
from app.engine.engine import Engine, EngineError
from app.engine.ticket import BACKBONES
from app.errors import problem_of
from app.intake.guesser import PoolGuesser
from app.intake.pool import ChildPool
from app.jobs.files import open_files
from app.jobs.lease import Leases
from app.jobs.maker import Maker
from app.jobs.service import JobService
from app.jobs.store import JobStore
from app.settings import Settings
from app.telemetry.logs import configure_logs
from app.telemetry.metrics import Metrics
from app.telemetry.tracing import trace_requests
from models.data.blueprints import build_blueprint
from models.data.molecule import build_molecules, read_smiles
from models.errors import ModelError
from models.weights import Model, check_molecules, load_model, pick_device, read_registry

_PROBE_RESIDUES = 16
_DESCRIPTION = """Samples 3D structures in shape space. Post SMILES, get conformers whose geometry and stereochemistry
were checked one by one; post lengths, get protein backbones. Same seed, same structures."""


def create_app(settings: Settings) -> FastAPI:
    """The application; the model loads in the background once it starts."""
    configure_logs(settings.log_level)
    database = open_database(settings)
    pool = ChildPool(settings.parse_processes, settings.parse_timeout_s, settings.parse_memory_mb, settings.parse_jobs)
    engine = Engine(
        lambda: load_molecules(leave_room(settings)),
        lambda: build_molecules(read_smiles("CCO"), 0)[0],
        settings.max_waiting,
        partial(PoolGuesser, pool),
        settings.drain_s,
        settings.stuck_after_s,
        {BACKBONES: (lambda: load_backbones(settings), lambda: build_blueprint("probe", _PROBE_RESIDUES))},
    )

    service = build_jobs(settings, database, engine, pool)
    metrics = Metrics(lambda: (*figures(engine, pool), *of_jobs(service.store)))
    service.on_made = partial(count_made, metrics)
    quotas = Quotas()
    ring = KeyRing(KeyStore(database).find) if settings.keys_required else None

    def check_open(arriving: int) -> None:
        try:
            engine.check_open(before=pool.requests + arriving)
        except EngineError as error:
            raise problem_of_engine(error) from None
        except ModelError as error:
            raise problem_of(error) from None

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
        end_traces()
        database.close()

    app = FastAPI(title="Shapespace", version=__version__, description=_DESCRIPTION, lifespan=lifespan)
    app.state.settings, app.state.pool, app.state.engine, app.state.metrics = settings, pool, engine, metrics
    app.state.quotas, app.state.database = quotas, database
    app.state.jobs = service
    for room in (about, health):
        app.include_router(room.router)
    for room in (conformers, backbones, jobs):
        app.include_router(room.router, dependencies=[Depends(needs("sample"))])
    app.include_router(monitoring.router, dependencies=[Depends(needs("admin"))])
    app.add_api_route("/", lambda: RedirectResponse("/docs"), include_in_schema=False)
    install_handlers(app)
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=int(settings.max_body_mb * 1e6))
    app.add_middleware(Door, settings=settings, ring=ring, quotas=quotas, check_open=check_open)
    end_traces = trace_requests(app, settings.otel_endpoint) if settings.otel_endpoint else lambda: None
    app.add_middleware(RequestContext, max_body_bytes=int(settings.max_body_mb * 1e6), metrics=metrics)
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


def leave_room(settings: Settings) -> Settings:
    """The same, with a core left to the child processes if nobody says how many threads the sampler shall have.

    They make guesses while it works on other rows; threads of one product that wait for each other cannot share a core.
    """
    if settings.threads or pick_device(settings.device).type != "cpu":
        return settings
    return settings.model_copy(update={"threads": max(1, torch.get_num_threads() - 1)})


def load(settings: Settings) -> Model:
    """The model of the settings, on their device."""
    if settings.threads:
        torch.set_num_threads(settings.threads)
    return load_model(settings.model, settings.weights_dir, pick_device(settings.device))


def load_molecules(settings: Settings) -> Model:
    """The same, if it is one of molecules.

    Raises:
        WeightsError: It is one of backbones.
    """
    model = load(settings)
    check_molecules(model.name, model.card)
    return model


def load_backbones(settings: Settings) -> Model | None:
    """The model of backbones, on the device of the settings; None if there shall be none.

    Raises:
        WeightsError: It is not there, though it was asked for by name, or it samples no backbones.
    """
    name = settings.backbone_model
    by_default = name == Settings.model_fields["backbone_model"].default
    if not name or (by_default and name not in read_registry(settings.weights_dir)):
        return None
    model = load_model(name, settings.weights_dir, pick_device(settings.device))
    _ = model.lengths  # a model of molecules has none, and must not be served as one of backbones
    return model


def _document_limits(app: FastAPI, settings: Settings) -> None:
    """Put the limits of this service into its OpenAPI document."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        document = plain()
        fields = document["components"]["schemas"]["ConformersRequest"]["properties"]
        fields["molecules"]["maxItems"] = settings.max_molecules
        fields["num_conformers"]["maximum"] = settings.max_conformers
        fields = document["components"]["schemas"]["BackbonesRequest"]["properties"]
        fields["lengths"]["maxItems"] = settings.max_lengths
        fields["num_samples"]["maximum"] = settings.max_samples
        if settings.keys_required and "securitySchemes" not in document["components"]:
            document_keys(document)
        return document

    app.openapi = openapi  # type: ignore[method-assign]
