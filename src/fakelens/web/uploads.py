"""Takes in the body of a request as a file, within limits."""

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

_LONGEST_NAME = 120
_UNNAMED = "unnamed"
_SPARE = 100 * MEGABYTE  # bytes of the disk that uploads leave free
# A client that is still sending may never see an answer: so much is read on, and thrown away.
_READ_ON_BYTES, _READ_ON_SECONDS = 64 * MEGABYTE, 5.0


def clean_name(name: str) -> str:
    """The last part of a name, short and without what cannot be seen; for people to read."""
    name = unicodedata.normalize("NFC", name)
    seen = "".join(" " if c in "\t\n" else c for c in name if c in "\t\n" or _is_visible(c))
    name = " ".join(re.split(r"[/\\]", seen)[-1].split())
    if len(name) > _LONGEST_NAME:
        stem, dot, suffix = name.rpartition(".")
        tail = dot + suffix if dot and len(suffix) <= 10 else ""
        name = (stem if tail else name)[: _LONGEST_NAME - len(tail) - 1] + "…" + tail
    return name if name.strip(". ") else _UNNAMED


async def receive(request: Request, path: Path, most: int, idle_seconds: float) -> int:
    """Write the body of a request to a file.

    Args:
        request: whose body was not read yet.
        path: of the file; its folder exists.
        most: bytes that it may have.
        idle_seconds: it is given up when nothing arrives for so long.

    Returns:
        Its size in bytes.

    Raises:
        ProblemError: it is too large, empty or too slow, or cannot be stored.
        starlette.requests.ClientDisconnect: it was broken off.
    """
    announced = request.headers.get("content-length")
    body = request.stream()
    try:
        _check_announced(int(announced or 0), path.parent, most)
        size = await _write(body, path, most, idle_seconds)
    except ProblemError:
        if request.headers.get("expect", "").lower() != "100-continue":
            await _read_on(body)
        raise
    if size == 0:
        raise ProblemError(400, "the body is empty: send the video or picture itself as the body")
    return size


def _check_announced(size: int, folder: Path, most: int) -> None:
    if size > most:
        raise _too_large(most)
    _check_free(folder, size)


def _check_free(folder: Path, size: int) -> None:
    if shutil.disk_usage(folder).free < size + _SPARE:
        raise ProblemError(507, "the server's disk is too full for this upload")


async def _write(body: AsyncIterator[bytes], path: Path, most: int, idle_seconds: float) -> int:
    size = checked = 0
    try:
        with path.open("xb", buffering=0) as file:
            while True:
                async with asyncio.timeout(idle_seconds):
                    chunk = await anext(body, None)
                if chunk is None:
                    break
                size += len(chunk)
                if size > most:
                    raise _too_large(most)
                if size - checked > _SPARE // 2:  # others fill the disk too
                    checked = size
                    _check_free(path.parent, 0)
                await asyncio.to_thread(_write_all, file.fileno(), chunk)
            await asyncio.to_thread(os.fsync, file.fileno())
    except TimeoutError:
        raise ProblemError(
            408, f"nothing arrived for {idle_seconds:.0f} seconds, so the upload was given up"
        ) from None
    except OSError as error:
        raise ProblemError(507, f"the upload cannot be stored: {error.strerror}") from error
    return size


def _write_all(file: int, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(file, rest) :]


async def _read_on(body: AsyncIterator[bytes]) -> None:
    size, began = 0, time.monotonic()
    try:
        async with asyncio.timeout(_READ_ON_SECONDS):
            async for chunk in body:
                size += len(chunk)
                if size > _READ_ON_BYTES or time.monotonic() - began > _READ_ON_SECONDS:
                    return
    except TimeoutError:
        return


def _too_large(most: int) -> ProblemError:
    return ProblemError(
        413,
        f"the upload is larger than the {most / MEGABYTE:g} MB that this server takes: cut it, or "
        "start the server with a larger --max-upload",
    )


def _is_visible(character: str) -> bool:
    # Neither control characters nor those that change the direction of writing or are halves.
    return unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
