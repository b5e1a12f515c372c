"""Uploads: store the body of a request as a file, within limits."""

import asyncio
import os
import re
import shutil
import time
import unicodedata
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.requests import Request

from fakelens.web.limits import MEGABYTE
from fakelens.web.problems import ProblemError

_MAX_NAME_LENGTH = 120
_UNNAMED = "unnamed"
_RESERVED = 100 * MEGABYTE  # bytes of disk space that uploads leave free
# A client that is still sending may not read an error response: up to this much is read and
# dropped.
_DRAIN_BYTES, _DRAIN_SECONDS = 64 * MEGABYTE, 5.0


def clean_name(name: str) -> str:
    """Return a file name for display: without folders and invisible characters, and shortened."""
    name = unicodedata.normalize("NFC", name)
    visible = "".join(" " if c in "\t\n" else c for c in name if c in "\t\n" or _is_visible(c))
    name = " ".join(re.split(r"[/\\]", visible)[-1].split())
    if len(name) > _MAX_NAME_LENGTH:
        stem, dot, suffix = name.rpartition(".")
        tail = dot + suffix if dot and len(suffix) <= 10 else ""
        name = (stem if tail else name)[: _MAX_NAME_LENGTH - len(tail) - 1] + "…" + tail
    return name if name.strip(". ") else _UNNAMED


async def receive(request: Request, path: Path, max_bytes: int, idle_seconds: float) -> int:
    """Write the body of a request to a file.

    Args:
        request: whose body has not been read.
        path: of the new file; its folder exists.
        max_bytes: largest body.
        idle_seconds: abort when no data arrives for this long.

    Returns:
        The size in bytes.

    Raises:
        ProblemError: the body is too large, empty or too slow, or cannot be stored.
        starlette.requests.ClientDisconnect: the client closed the connection.
    """
    announced = request.headers.get("content-length")
    body = request.stream()
    try:
        _check_announced(int(announced or 0), path.parent, max_bytes)
        size = await _write(body, path, max_bytes, idle_seconds)
    except ProblemError:
        if request.headers.get("expect", "").lower() != "100-continue":
            await _drain(body)
        raise
    if size == 0:
        raise ProblemError(400, "the request body is empty: send the video or picture as the body")
    return size


async def store(data: bytes, path: Path, max_bytes: int) -> int:
    """Write data of the server itself to a file, as ``receive`` does.

    Args:
        data: not empty.
        path: of the new file; its folder exists.
        max_bytes: most bytes that are accepted.

    Returns:
        The size in bytes.

    Raises:
        ProblemError: the data is too large or cannot be stored.
    """

    async def chunks() -> AsyncIterator[bytes]:
        yield data

    _check_announced(len(data), path.parent, max_bytes)
    return await _write(chunks(), path, max_bytes, idle_seconds=1)


def _check_announced(size: int, folder: Path, max_bytes: int) -> None:
    if size > max_bytes:
        raise _too_large(max_bytes)
    _check_free(folder, size)


def _check_free(folder: Path, size: int) -> None:
    if shutil.disk_usage(folder).free < size + _RESERVED:
        raise ProblemError(507, "the server's disk has too little free space for this upload")


async def _write(
    body: AsyncIterator[bytes], path: Path, max_bytes: int, idle_seconds: float
) -> int:
    size = checked = 0
    try:
        with path.open("xb", buffering=0) as file:
            while True:
                async with asyncio.timeout(idle_seconds):
                    chunk = await anext(body, None)
                if chunk is None:
                    break
                size += len(chunk)
                if size > max_bytes:
                    raise _too_large(max_bytes)
                if size - checked > _RESERVED // 2:  # other programs fill the disk too
                    checked = size
                    _check_free(path.parent, 0)
                await asyncio.to_thread(_write_all, file.fileno(), chunk)
            await asyncio.to_thread(os.fsync, file.fileno())
    except TimeoutError:
        raise ProblemError(
            408, f"no data arrived for {idle_seconds:.0f} seconds, so the upload was aborted"
        ) from None
    except OSError as error:
        raise ProblemError(507, f"the upload cannot be stored: {error.strerror}") from error
    return size


def _write_all(file: int, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(file, rest) :]


async def _drain(body: AsyncIterator[bytes]) -> None:
    size, began = 0, time.monotonic()
    try:
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for chunk in body:
                size += len(chunk)
                if size > _DRAIN_BYTES or time.monotonic() - began > _DRAIN_SECONDS:
                    return
    except TimeoutError:
        return


def _too_large(max_bytes: int) -> ProblemError:
    return ProblemError(
        413,
        f"the upload is larger than the {max_bytes / MEGABYTE:g} MB that this server accepts: "
        "upload a shorter clip, or start the server with a larger --max-upload",
    )


def _is_visible(character: str) -> bool:
    # No control or formatting characters (which can reverse the text), surrogates or line breaks.
    return unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
