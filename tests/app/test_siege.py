"""Slow and vanishing callers at a real server's socket, with the whole application behind it."""

import asyncio
import contextlib
import json
import socket
import struct

import httpx
import pytest
import uvicorn

from app.commands.serve import configure
from app.main import create_app
from app.settings import Settings

PATIENCE_S = 60
BODY = json.dumps({"molecules": [{"smiles": "CCO"}], "num_conformers": 2, "seed": 1}).encode()
HEAD = b"POST /v1/conformers HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: "
POST = HEAD + str(len(BODY)).encode() + b"\r\n\r\n"


class Siege:
    """A service, and callers of all kinds."""

    def __init__(self, app, server, address):
        self.app, self.server, self.address, self.held = app, server, address, []

    async def open(self, *begin):
        """A connection that sends these bytes, and nothing more."""
        reader, writer = await asyncio.open_connection(*self.address)
        writer.write(b"".join(begin))
        self.held.append(writer)
        return reader, writer

    async def neighbour(self, path=None):
        """What an honest caller is told."""
        url = f"http://{self.address[0]}:{self.address[1]}"
        async with httpx.AsyncClient(base_url=url, timeout=PATIENCE_S) as client:
            if path:
                return await client.get(path)
            return await client.post("/v1/conformers", content=BODY, headers={"Content-Type": "application/json"})

    async def until(self, condition):
        while not condition():
            await asyncio.sleep(0.02)

    @property
    def open_connections(self):
        return len(self.server.server_state.connections)


@pytest.fixture
def besieged(tools, tmp_path, weights, monkeypatch):
    """Tells a story of a service with little room."""

    def tell(story, **changes):
        engine = tools.QuickEngine(changes.pop("tickets", None))
        monkeypatch.setattr("app.main.Engine", lambda *_: engine)
        monkeypatch.setattr("app.main.ChildPool", lambda *_: tools.LocalPool())
        given = {"max_connections": 20, "max_waiting": 4, "body_timeout_s": 30.0, "log_level": "critical", **changes}
        settings = Settings(state_dir=tmp_path / "state", weights_dir=weights, **given)

        async def run():
            app = create_app(settings)
            with socket.create_server(("127.0.0.1", 0)) as listener:
                server = uvicorn.Server(configure(app, settings))
                server.install_signal_handlers = lambda: None
                task = asyncio.create_task(server.serve([listener]))
                siege = Siege(app, server, listener.getsockname())
                await siege.until(lambda: server.started)
                try:
                    await asyncio.wait_for(story(siege, engine), PATIENCE_S)
                finally:
                    for writer in siege.held:
                        writer.close()
                    server.should_exit = True
                    await task

        asyncio.run(run())

    return tell


@pytest.mark.parametrize("begin", [b"", b"POST /v1/conf", POST[:-2]], ids=["nothing", "line", "headers"])
def test_callers_who_hold_all_connections_keep_nobody_out(besieged, begin):
    async def story(siege, engine):
        for _ in range(30):
            await siege.open(begin)
        await siege.until(lambda: siege.open_connections == 20)
        for _ in range(3):
            assert (await siege.neighbour()).status_code == 200
        assert siege.open_connections <= 20

    besieged(story)


def test_callers_whose_bodies_never_end_keep_nobody_out(besieged, monkeypatch):
    monkeypatch.setattr("app.api.arrivals._PROMPT_S", 0.1)

    async def story(siege, engine):
        slow = [await siege.open(POST, BODY[:9]) for _ in range(10)]
        await asyncio.sleep(0.3)
        answers = [(await siege.neighbour()).status_code for _ in range(3)]
        assert answers == [200] * 3
        told = [await asyncio.wait_for(reader.readline(), PATIENCE_S) for reader, _ in slow[-5:-4]]
        assert told[0].split()[1] in (b"408", b"503")  # gave way, or was one too many at once

    besieged(story)


def test_probes_are_answered_while_every_place_is_taken(besieged):
    async def story(siege, engine):
        for _ in range(20):  # each is busy with a body that does not end
            await siege.open(b"POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
        for _ in range(20):
            await siege.open(POST.replace(b"/v1/conformers", b"/v1/jobs/x"), BODY[:5])
        assert (await siege.neighbour("/healthz")).status_code == 200
        assert (await siege.neighbour("/readyz")).status_code == 200

    besieged(story)


def test_callers_who_vanish_leave_no_work_behind(besieged):
    """Connections that are reset while the sampler works on their request."""

    async def story(siege, engine):
        for _ in range(3):
            _, writer = await siege.open(POST, BODY)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await siege.until(lambda: len(engine.tickets) == 3)
        assert not any(ticket.over() for ticket in engine.tickets)
        for writer in siege.held:
            writer.transport.abort()
        await siege.until(lambda: all(ticket.over() for ticket in engine.tickets))
        await siege.until(lambda: siege.open_connections == 0 and not siege.server.server_state.tasks)
        engine.left = None
        assert (await siege.neighbour()).status_code == 200

    besieged(story, tickets=0)


def test_callers_who_vanish_while_they_send_are_forgotten(besieged):
    async def story(siege, engine):
        for cut in (0, 10, len(POST), len(POST) + 9):
            _, writer = await siege.open((POST + BODY)[:cut])
            await writer.drain()
            writer.transport.abort()
        await siege.until(lambda: siege.open_connections == 0 and not siege.server.server_state.tasks)
        assert engine.tickets == []
        assert (await siege.neighbour()).status_code == 200

    besieged(story)


def test_reader_of_events_who_vanishes_is_forgotten(besieged):
    async def story(siege, engine):
        async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
            url = f"http://{siege.address[0]}:{siege.address[1]}"
            headers = {"Content-Type": "application/json", "Prefer": "respond-async"}
            answer = await client.post(f"{url}/v1/conformers", content=BODY, headers=headers)
            path = answer.headers["location"].encode()
        reader, writer = await siege.open(b"GET %s/events HTTP/1.1\r\nHost: a\r\n\r\n" % path)
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()
        await siege.until(lambda: siege.open_connections == 0 and not siege.server.server_state.tasks)
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    besieged(story, tickets=0)
