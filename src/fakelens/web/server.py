"""Listens, and ends in order."""

import logging
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from urllib.parse import urlencode

import uvicorn

from fakelens.errors import OutputError, UsageError
from fakelens.models.loading import load_model
from fakelens.web.app import create_app
from fakelens.web.guard import Access, is_loopback
from fakelens.web.limits import Limits
from fakelens.web.queue import Queue
from fakelens.web.store import Store

_GRACE = 2  # seconds that answers on their way have when the server ends
_TOKEN_BYTES = 24
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - only told from other addresses
_FILES = (".onnx", ".h5")


@dataclass(frozen=True, slots=True)
class Options:
    """What a server is started with.

    Attributes:
        host: name or address to listen on.
        port: 0 takes one that is free.
        folder: for uploads and results.
        model: name or path.
        token: that everybody has to know; without one it is made where others can reach the server.
        limits: of the server and its jobs.
    """

    host: str
    port: int
    folder: Path
    model: str
    token: str | None
    limits: Limits


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens.

    Attributes:
        url: to open; with the token, if there is one.
        token_made: the token is new, so that nobody knows it yet.
    """

    url: str
    token_made: bool


def serve(options: Options, listening: Callable[[Address], None]) -> None:
    """Serve until the process is told to end (Ctrl-C, SIGTERM).

    Args:
        options: all that may be chosen.
        listening: called once, when the server answers.

    Raises:
        UsageError: there is no such model, or a limit or the token is out of range.
        ModelError: the model cannot be loaded.
        OutputError: the port is taken, the folder cannot be written or another server works there.
    """
    if options.token is not None and not options.token.strip():
        raise UsageError("--token must not be empty")
    model = options.model
    if model.lower().endswith(_FILES):
        model = str(Path(model).absolute())
    name = load_model(model).card.name  # that it can be is told now, not with the first job
    with _listen(options.host, options.port) as listener:
        local = is_loopback(options.host)
        token = options.token or (None if local else secrets.token_urlsafe(_TOKEN_BYTES))
        port = listener.getsockname()[1]
        host = socket.gethostname() if options.host in _EVERYWHERE else options.host
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
        query = f"?{urlencode({'token': token})}" if token else ""
        address = Address(url + query, token != options.token)
        store = Store(options.folder, lost=options.limits.lost)
        try:
            queue = Queue(store, options.limits, model)
            app = create_app(queue, Access(local, token, port), name)
            config = uvicorn.Config(
                app,
                log_config=None,
                access_log=False,  # addresses may hold the token
                ws="none",
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=_GRACE,
            )
            _log_to_standard_error()
            _Server(config, queue, lambda: listening(address)).run(sockets=[listener])
        finally:
            store.close()


class _Server(uvicorn.Server):
    """Says when it listens, and ends streams of events before it waits for answers."""

    def __init__(self, config: uvicorn.Config, queue: Queue, listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._queue, self._listening = queue, listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._listening()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._queue.stop()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Not as uvicorn does it, which raises the signal again in the end: to be told to end is
        # how a server ends.
        self.force_exit = self.should_exit
        self.should_exit = True


def _listen(host: str, port: int) -> socket.socket:
    try:
        (family, _, _, _, place), *_ = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        return socket.create_server((host, place[1]), family=family)
    except (OSError, OverflowError) as error:
        words = getattr(error, "strerror", None) or error
        raise OutputError(
            f"cannot listen on {host}, port {port}: {words}; another --port or --host may do"
        ) from error


def _log_to_standard_error() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("fakelens: %(name)s: %(message)s"))
    for name in ("uvicorn.error", "fakelens.web"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.ERROR)
