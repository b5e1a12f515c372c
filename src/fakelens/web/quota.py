"""The storage quota: uploads are refused when all files would take up more space."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from fakelens.web import folders
from fakelens.web.limits import GIGABYTE
from fakelens.web.problems import ProblemError


class Quota:
    """The space that the jobs may take up.

    The quota is compared with what is stored and with all uploads in progress, in full. Results of
    jobs that were accepted before can still exceed it.

    Args:
        jobs: folder of the jobs.
        max_bytes: ``None`` for no limit.
    """

    def __init__(self, jobs: Path, max_bytes: int | None) -> None:
        self._jobs, self._max_bytes = jobs, max_bytes
        self._reserved: dict[str, int] = {}  # bytes, by job

    @contextlib.asynccontextmanager
    async def reserve(self, job: str, announced: int | None, most: int) -> AsyncIterator[int]:
        """Reserve space for an upload until it is stored.

        Args:
            job: id; its folder exists.
            announced: size in bytes, if the client announced it.
            most: largest upload in bytes.

        Yields:
            The number of bytes that the upload may have.
        """
        if self._max_bytes is None:
            yield most
            return
        self._reserved[job] = 0
        try:
            counted = dict(self._reserved)  # also those that end while the files are counted
            stored = await asyncio.to_thread(folders.disk_usage, self._jobs, without=counted)
            pending = sum((counted | self._reserved).values())
            free = max(0, self._max_bytes - stored - pending)
            wanted = most if announced is None else announced
            self._reserved[job] = min(wanted, free)
            yield min(most, free)
        finally:
            del self._reserved[job]

    def error(self) -> ProblemError:
        """Return the error that refuses an upload."""
        size = (self._max_bytes or 0) / GIGABYTE
        return ProblemError(
            507,
            f"the uploads and results would take up more than the {size:g} GB that this server "
            "keeps: delete old results, or start the server with a larger --quota",
        )
