"""HTTP/1.1 connections that do not wait forever for a slow or vanished caller."""

from __future__ import annotations

import asyncio
import socket
from secrets import token_hex

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from app.api.middleware import HEADERS
from app.errors import Problem

_HERE = (h11.DONE, h11.MUST_CLOSE, h11.CLOSED, h11.ERROR)


class PatientConnection(H11Protocol):
    """A connection of uvicorn that is cut when a request takes too long to arrive, or an answer to be taken.

    Where too many are open, one that only waits for a request is cut for each that comes; if there is none, the
    application is told that it is crowded (`state["crowded"]`).

    Attributes:
        most: Open connections.
        arrival_s: Time for a whole request from its first byte, or from the opening of the connection, s.
        stall_s: Time in which nothing of an answer is taken, s.
        probe_s: Silence after which the kernel asks whether the other machine is still there, s.
    """

    most = 1000
    arrival_s = 35.0
    stall_s = 30.0
    probe_s = 30
    _since = 0.0
    _arrival: asyncio.TimerHandle | None = None
    _stall: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        link = transport.get_extra_info("socket")
        if link is not None and link.family in (socket.AF_INET, socket.AF_INET6):
            link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if hasattr(socket, "TCP_KEEPIDLE"):
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, self.probe_s)
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
        self._since = self.loop.time()
        if len(self.connections) > self.most:
            self._make_room()
        self._await_request()

    def data_received(self, data: bytes) -> None:
        """Take bytes; the clock stops when the request is here."""
        super().data_received(data)
        if self.conn.their_state in _HERE:
            self._stop_arrival()
        elif self._arrival is None:
            self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the clocks."""
        self._stop_arrival()
        self._stop_stall()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The caller does not take the answer as fast as it is written."""
        super().pause_writing()
        self._await_progress()

    def resume_writing(self) -> None:
        """It took what was there."""
        self._stop_stall()
        super().resume_writing()

    def on_response_complete(self) -> None:
        """An answer was written; its last bytes must be taken too."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._await_progress()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP, as the application refuses."""
        answer = Problem(400, "invalid_http", f"this is not a request of HTTP/1.1: {msg}").response(token_hex(8))
        answer.headers.update({**HEADERS, "Connection": "close"})
        try:
            head = h11.Response(status_code=400, headers=answer.raw_headers)
            for event in (head, h11.Data(data=bytes(answer.body)), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        except h11.LocalProtocolError:  # in the middle of an answer
            self.transport.abort()
        self.transport.close()

    def timeout_keep_alive_handler(self) -> None:
        """No other request came."""
        super().timeout_keep_alive_handler()
        self._await_progress()

    def _make_room(self) -> None:
        others = [other for other in self.connections if isinstance(other, PatientConnection) and other is not self]
        idle = [other for other in others if other.conn.our_state is h11.IDLE]
        if idle:
            oldest = min(idle, key=lambda other: other._since)
            self.connections.discard(oldest)  # else it stands there until the loop comes round
            oldest.transport.abort()
        else:
            self.app_state = {**self.app_state, "crowded": True}

    def _await_request(self) -> None:
        self._arrival = self.loop.call_later(self.arrival_s, self.transport.abort)

    def _await_progress(self) -> None:
        """Cut the connection when the buffer does not shrink."""
        size = self.transport.get_write_buffer_size()
        self._stop_stall()
        if size:
            self._stall = self.loop.call_later(self.stall_s, self._look, size)

    def _look(self, before: int) -> None:
        if self.transport.get_write_buffer_size() >= before:
            self.transport.abort()
        else:
            self._await_progress()

    def _stop_arrival(self) -> None:
        if self._arrival is not None:
            self._arrival.cancel()
            self._arrival = None

    def _stop_stall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
