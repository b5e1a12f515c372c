"""The server: start to listen, and shut down in order."""

import asyncio
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
from fakelens.models.loading import LOADERS, load_model
from fakelens.web.app import create_app
from fakelens.web.connections import BACKLOG, MAX_HEADER_BYTES, Connections, ErrorLog
from fakelens.web.guard import Access, is_loopback
from fakelens.web.limits import Limits
from fakelens.web.queue import Queue
from fakelens.web.store import Store

_GRACE_SECONDS = 2  # for open responses when the server shuts down
_TOKEN_BYTES = 24
_ALL_INTERFACES = ("0.0.0.0", "::")  # noqa: S104 - only compared with


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a server.

    Attributes:
        host: name or address to listen on.
        port: to listen on; 0 picks a free one.
        folder: for uploads and results.
        model: name or path.
        token: that clients must send; ``None`` creates one, unless ``tokenless``.
        tokenless: accept clients without a token; only on loopback.
        limits: of the server and its jobs.
    """

    host: str
    port: int
    folder: Path
    model: str
    token: str | None
    tokenless: bool
    limits: Limits


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a running server.

    Attributes:
        url: to open in a browser; includes the token, if there is one.
        token_made: whether the token was created by the server, so that nobody knows it yet.
    """

    url: str
    token_made: bool


def serve(options: Options, listening: Callable[[Address], None]) -> None:
    """Run the server until Ctrl-C or SIGTERM.

    Args:
        options: of the server.
        listening: called once, when the server accepts requests.

    Raises:
        UsageError: there is no such model, or the options on the token contradict each other.
        ModelError: the model cannot be loaded.
        OutputError: the port is in use, or the folder cannot be written or is in use by another
            server.
    """
    local = is_loopback(options.host)
    _check_token(options, local=local)
    model = options.model
    if model.lower().endswith(tuple(LOADERS)):
        model = str(Path(model).absolute())
    name = load_model(model).card.name  # fails now rather than with the first job
    with _listen(options.host, options.port) as listener:
        token = None if options.tokenless else options.token or secrets.token_urlsafe(_TOKEN_BYTES)
        port = listener.getsockname()[1]
        host = socket.gethostname() if options.host in _ALL_INTERFACES else options.host
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
        query = f"?{urlencode({'token': token})}" if token else ""
        address = Address(url + query, token != options.token)
        _log_to_standard_error()
        store = Store(options.folder, max_crashes=options.limits.max_crashes)
        try:
            queue = Queue(store, options.limits, model)
            app = create_app(queue, Access(local, token, port), name)
            config = uvicorn.Config(
                app,
                http=Connections(options.limits).protocol(),
                backlog=BACKLOG,
                h11_max_incomplete_event_size=MAX_HEADER_BYTES,
                log_config=None,
                access_log=False,  # URLs may contain the token
                ws="none",
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=_GRACE_SECONDS,
            )
            _Server(config, queue, lambda: listening(address)).run(sockets=[listener])
        finally:
            store.close()


class _Server(uvicorn.Server):
    """Reports when it listens, and closes event streams before it waits for open responses."""

    def __init__(self, config: uvicorn.Config, queue: Queue, listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._queue, self._listening = queue, listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().set_exception_handler(ErrorLog())
        await super().startup(sockets)
        self._listening()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._queue.stop()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Unlike uvicorn, do not raise the signal again after the shutdown: a signal is the normal
        # way to stop the server, so the exit code is 0.
        self.force_exit = self.should_exit
        self.should_exit = True


def _check_token(options: Options, *, local: bool) -> None:
    if options.token is not None and not options.token.strip():
        raise UsageError("--token must not be empty")
    if options.tokenless and options.token is not None:
        raise UsageError("--no-token cannot be combined with --token or FAKELENS_TOKEN")
    if options.tokenless and not local:
        raise UsageError(
            f"--no-token needs a loopback address: with --host {options.host}, every other machine "
            "that reaches this one could read and delete all results"
        )


def _listen(host: str, port: int) -> socket.socket:
    try:
        (family, _, _, _, address), *_ = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        server = socket.create_server((host, address[1]), family=family)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(
            f"cannot listen on {host}, port {port}: {reason}; try another --port or --host"
        ) from error
    # Connections inherit this. Otherwise, the body of a response waits up to 40 ms for the
    # acknowledgement of its headers.
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return server


def _log_to_standard_error() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("fakelens: %(name)s: %(message)s"))
    for name in ("uvicorn.error", "fakelens.web"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.ERROR)
