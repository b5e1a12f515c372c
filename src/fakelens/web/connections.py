"""Connections: how many there are, and how long they may wait before a request is complete.

These limits apply before the token is checked. When all places are taken, the connection that has
gone longest without an accepted request loses its place, so clients without a token cannot keep
others out, however many connections they open.
"""

import asyncio
import errno
import logging
import sys
import time
from typing import Any, ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol

from fakelens.web.limits import Limits

ACCEPTED = "fakelens.accepted"
"""Key in the state of a request: call the value once the request has been accepted."""

BACKLOG = 128
"""Connections that the system holds for the server, and most that it accepts at once."""

MAX_HEADER_BYTES = 65536  # other servers on this machine may have set many cookies

_OTHER_FILES = 64  # file descriptors for other purposes than connections
_PER_CONNECTION = 2  # file descriptors: the connection and the file sent or received
_FEWEST = 8
_LOG_INTERVAL = 10.0  # seconds
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_BUSY = b'{"detail":"the server has too many open connections: close some, or try again later"}'
_BUSY_RESPONSE = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_BUSY), _BUSY)
)

_log = logging.getLogger("fakelens.web")


class Connections:
    """The places for open connections.

    Args:
        limits: of the server.
    """

    def __init__(self, limits: Limits) -> None:
        self.header_seconds = limits.header_seconds
        self._places = min(limits.connections, _places_for_descriptors())
        # Oldest first, until a request on them has been accepted, and afterwards.
        self._unknown: dict[_Connection, None] = {}
        self._known: dict[_Connection, None] = {}

    def protocol(self) -> type[H11Protocol]:
        """Return the protocol class to run uvicorn with."""
        return type("Connection", (_Connection,), {"pool": self})

    def add(self, connection: "_Connection") -> None:
        """Give a new connection a place, if necessary that of another one, or close it."""
        if len(self._unknown) + len(self._known) >= self._places:
            idle = (known for known in self._known if not known.is_busy)
            loser = next(iter(self._unknown), None) or next(idle, None)
            if loser is None:
                connection.transport.write(_BUSY_RESPONSE)
                connection.transport.close()
                return
            self.remove(loser)
            loser.transport.abort()
        self._unknown[connection] = None

    def accept(self, connection: "_Connection") -> None:
        """Record that a request on a connection has been accepted."""
        if connection in self._unknown:
            del self._unknown[connection]
            self._known[connection] = None

    def remove(self, connection: "_Connection") -> None:
        """Free the place of a connection, if it has one."""
        self._unknown.pop(connection, None)
        self._known.pop(connection, None)


class _Connection(H11Protocol):
    """A connection that is closed if a request's headers do not arrive in time."""

    pool: ClassVar[Connections]
    _timer: asyncio.TimerHandle | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a request is being handled, or the client has not yet taken all of a response."""
        return self._is_handling or self._is_sending

    @property
    def _is_handling(self) -> bool:
        # uvicorn sets the cycle with the first request.
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def _is_sending(self) -> bool:
        return self.transport.get_write_buffer_size() > 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.pool.add(self)
        self._set_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self.pool.remove(self)
        super().connection_lost(exc)
        self._set_timer()

    def handle_events(self) -> None:
        super().handle_events()
        if self._is_handling:
            state = self.cycle.scope.setdefault("state", {})
            state[ACCEPTED] = lambda: self.pool.accept(self)
        self._set_timer()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._set_timer()

    def _set_timer(self) -> None:
        """Let the time run while no request is being handled, whatever arrives meanwhile."""
        if self._is_handling or self.transport.is_closing():
            if self._timer:
                self._timer.cancel()
            self._timer = None
        elif self._timer is None:
            self._timer = self.loop.call_later(self.pool.header_seconds, self._time_out)

    def _time_out(self) -> None:
        self._timer = None
        if self._is_sending:
            self._set_timer()  # aborting would drop the rest of a response that is read slowly
        elif not self.transport.is_closing():
            self.transport.abort()


class ErrorLog:
    """Logs the errors of an event loop, those about too many open files at intervals.

    asyncio reports these for every connection that it cannot accept.
    """

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Handle an error, as the loop's exception handler."""
        error = context.get("exception")
        if not (isinstance(error, OSError) and error.errno in _EXHAUSTED and "socket" in context):
            loop.default_exception_handler(context)
        elif (now := time.monotonic()) >= self._next:
            self._next = now + _LOG_INTERVAL
            _log.error("new connections have to wait: %s", error.strerror)


def _places_for_descriptors() -> int:
    """Return for how many connections there are file descriptors."""
    if sys.platform == "win32":
        return sys.maxsize
    import resource  # noqa: PLC0415 - not on every platform

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return sys.maxsize
    return max(_FEWEST, (soft - _OTHER_FILES - BACKLOG) // _PER_CONNECTION)
