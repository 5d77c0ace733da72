import asyncio
import contextlib
import socket

import pytest
import uvicorn

from app.api.patience import PatientConnection

_LARGE = 8_000_000
PATIENCE_S = 60


class Hasty(PatientConnection):
    arrival_s = 0.3
    stall_s = 0.3


class Fair(PatientConnection):
    """For those who shall not be cut, also when this process has to wait for its turn."""

    arrival_s = 2.0
    stall_s = 2.0


async def service(scope, receive, send):
    """Reads a body; answers with a few bytes, or with many."""
    if scope["type"] != "http":
        return
    if scope["state"].get("crowded"):
        await send({"type": "http.response.start", "status": 503, "headers": [(b"connection", b"close")]})
        await send({"type": "http.response.body"})
        return
    while (await receive()).get("more_body"):
        pass
    size = _LARGE if scope["path"] == "/large" else 2
    headers = [(b"content-length", str(size).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"x" * size})


@contextlib.asynccontextmanager
async def served(kind=Hasty):
    """A real server, and the way to connect to it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(service, http=kind, ws="none", lifespan="off", log_config=None, timeout_keep_alive=60)
        server = uvicorn.Server(config)
        server.install_signal_handlers = lambda: None
        task = asyncio.create_task(server.serve([listener]))
        while not server.started:
            await asyncio.sleep(0.01)
        address = listener.getsockname()
        yield server, lambda: asyncio.open_connection(*address, limit=2**16)
        server.should_exit = True
        await task


def tell(story, kind=Hasty):
    async def run():
        async with served(kind) as (server, connect):
            await asyncio.wait_for(story(server, connect), PATIENCE_S)

    asyncio.run(run())


async def is_cut(reader):
    """Whether the other side ends the connection, whatever it sends before that."""
    try:
        while await reader.read(2**16):
            pass
    except ConnectionError:
        pass
    return True


@pytest.mark.parametrize(
    "begin",
    [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ",
     b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhal"],
    ids=["nothing", "line", "headers", "body"],
)  # fmt: skip
def test_request_that_does_not_arrive_is_cut(begin):
    async def story(server, connect):
        reader, writer = await connect()
        writer.write(begin)
        assert await is_cut(reader)
        writer.close()

    tell(story)


def test_trickle_does_not_buy_time():
    async def story(server, connect):
        reader, writer = await connect()
        cut = asyncio.create_task(is_cut(reader))
        writer.write(b"GET / HTTP/1.1\r\n")
        while not cut.done():
            with contextlib.suppress(ConnectionError):
                writer.write(b"X-A: b\r\n")
                await writer.drain()
            await asyncio.sleep(0.02)
        writer.close()

    tell(story)


def test_connection_serves_several_requests_with_pauses():
    async def story(server, connect):
        reader, writer = await connect()
        for pause_s in (2.2, 0):  # longer than a request may take to arrive
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            assert await reader.readexactly(2) == b"xx"
            await asyncio.sleep(pause_s)
        writer.close()

    tell(story, Fair)


def test_answer_that_is_not_taken_is_cut():
    async def story(server, connect):
        _, writer = await connect()
        writer.write(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        while not server.server_state.connections:
            await asyncio.sleep(0.01)
        while server.server_state.connections:  # nothing is read
            await asyncio.sleep(0.05)
        writer.close()

    tell(story)


def test_answer_that_is_taken_slowly_arrives():
    async def story(server, connect):
        reader, writer = await connect()
        writer.write(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        left = _LARGE
        while left:
            part = await reader.read(min(left, 400_000))
            assert part
            left -= len(part)
            await asyncio.sleep(0.1)  # the whole takes longer than a part may
        writer.close()

    tell(story, Fair)


class Small(PatientConnection):
    most = 3


async def status_of(reader):
    return int((await reader.readuntil(b"\r\n")).split()[1])


def test_connection_that_only_waits_makes_room_for_the_next():
    async def story(server, connect):
        idle = [await connect() for _ in range(3)]
        idle[0][1].write(b"GET / HTTP/1.1\r\nX-Slow: ")
        for _ in range(2):
            reader, writer = await connect()
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert await status_of(reader) == 200
            assert await is_cut(reader)
            writer.close()
        assert await is_cut(idle[0][0])  # the oldest
        for _, writer in idle:
            writer.close()

    tell(story, Small)


def test_application_is_told_when_nobody_makes_room():
    async def story(server, connect):
        busy = [await connect() for _ in range(3)]
        for _, writer in busy:
            writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx")
        while len(server.server_state.tasks) < 3:
            await asyncio.sleep(0.01)
        reader, writer = await connect()
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert await status_of(reader) == 503
        assert await is_cut(reader)
        writer.close()
        for reader, writer in busy:  # they are served all the same
            writer.write(b"x")
            assert await status_of(reader) == 200
            writer.close()

    tell(story, Small)


def test_what_is_not_http_gets_a_problem_document_and_security_headers():
    async def story(server, connect):
        reader, writer = await connect()
        writer.write(b"nonsense\r\n\r\n")
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400")
        assert b"content-type: application/problem+json" in head.lower()
        assert b"x-content-type-options: nosniff" in head.lower()
        assert b'"urn:shapespace:problem:invalid_http"' in body
        writer.close()

    tell(story)
