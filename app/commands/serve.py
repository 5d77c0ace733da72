"""Start the HTTP service; say where it is and how to call it."""

from __future__ import annotations

import asyncio
import resource
import socket
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import typer
import uvicorn
from fastapi import FastAPI

from app.access.store import KeyStore
from app.api.patience import PatientConnection
from app.database.database import Database, DatabaseError
from app.engine.engine import Engine
from app.jobs.service import JobService
from app.main import create_app
from app.settings import Settings, SettingsError, build_settings
from models.errors import ModelError
from models.weights import check_molecules, find_weights

_OTHER_FILES = 200  # pipes to child processes, the database, libraries
_BODY = '{"molecules":[{"smiles":"CCO"}],"num_conformers":3,"seed":1}'


def run(
    host: str | None,
    port: int | None,
    weights: Path | None,
    model: str | None,
    backbone_model: str | None,
    device: str | None,
) -> None:
    """Serve until interrupted.

    Args:
        host: Overrides the setting, as do the other arguments that are not None.
        port: 0 takes a free one.
        weights: Folder with the registry.
        model: Name in the registry, of molecules.
        backbone_model: Likewise of backbones; empty serves none.
        device: `auto`, `cpu`, `cuda`, ...

    Raises:
        ModelError: The weights are not there.
    """
    settings = build_settings(
        host=host, port=port, weights_dir=weights, model=model, backbone_model=backbone_model, device=device
    )
    # a wrong folder or model must be said now, not in a log later
    check_molecules(settings.model, find_weights(settings.model, settings.weights_dir)[0])
    app = create_app(settings)
    check_access(settings, app.state.database)
    listener = _bind(settings.host, settings.port)
    server = _Server(configure(app, settings))
    server.engine, server.jobs = app.state.engine, app.state.jobs
    threading.Thread(target=_announce, args=(server, url_of(listener)), daemon=True).start()
    with suppress(KeyboardInterrupt), listener:
        server.run(sockets=[listener])
    if app.state.engine.state == "failed":
        raise SystemExit(1)


def configure(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """How uvicorn is to serve the application: with patience for nobody, and with its words in our logs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.max_connections + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard) if hard >= 0 else wanted, hard))
    limits = {"most": settings.max_connections, "arrival_s": settings.body_timeout_s + 5}
    return uvicorn.Config(
        app,
        http=type("Connection", (PatientConnection,), limits),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
    )


def check_access(settings: Settings, database: Database) -> None:
    """Refuse to start where callers need keys and nobody has one.

    Raises:
        SettingsError: No key is good.
        ModelError: The database cannot be read.
    """
    if not settings.keys_required:
        return
    try:
        database.upgrade()
        keys = KeyStore(database).all()
    except DatabaseError as error:
        raise ModelError(f"the keys of callers cannot be read: {error}") from None
    now = datetime.now(UTC)
    if not any(key.state(now) == "active" for key in keys):
        raise SettingsError(
            f"callers at {settings.host} need an API key, and there is none; make one with "
            "`shapespace keys create NAME`, or let everybody in with SHAPESPACE_API_KEYS=off"
        )


class _Server(uvicorn.Server):
    """Ends the sampling before connections are waited for, so that callers get what is finished."""

    engine: Engine
    jobs: JobService

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Give jobs back, stop the engine after its current step, then everything else."""
        await self.jobs.stop()
        await asyncio.to_thread(self.engine.close)
        await super().shutdown(sockets)


def url_of(listener: socket.socket) -> str:
    """Address that a browser on this machine can open."""
    host, port = listener.getsockname()[:2]
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{name}:{port}"


def _bind(host: str, port: int) -> socket.socket:
    """Take the port before anything slow happens."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        raise ModelError(
            f"cannot listen on {host}:{port} ({error.strerror}); choose another with HOST and PORT"
        ) from None
    return listener


def _announce(server: _Server, url: str) -> None:
    """Print the address at once and an example once it will work; end the server if it never will."""
    typer.echo(f"Shapespace at {url} (loading the model)", err=True)
    engine = server.engine
    while engine.state == "loading":
        time.sleep(0.05)
    if engine.state == "failed":
        typer.echo(f"error: {engine.detail}", err=True)
        server.should_exit = True
    if engine.state != "ready":
        return
    typer.echo(
        f"Ready. Documentation: {url}/docs\nTry:\n"
        f"  curl {url}/v1/conformers -H 'Content-Type: application/json' -H 'Accept: chemical/x-mdl-sdfile' "
        f"-d '{_BODY}'",
        err=True,
    )
