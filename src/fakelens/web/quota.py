"""The storage quota: uploads are refused when all files would take up more space."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from fakelens.web import folders
from fakelens.web.limits import GIGABYTE
from fakelens.web.problems import ProblemError


class _ExceededError(ProblemError):
    """An upload has no room."""


class Quota:
    """The space that the jobs may take up.

    The quota is compared with what is stored and with all uploads in progress, in full: those of
    unknown size have all that is left. Results of jobs that were accepted before can still exceed
    it.

    Args:
        jobs: folder of the jobs.
        max_bytes: ``None`` for no limit.
    """

    def __init__(self, jobs: Path, max_bytes: int | None) -> None:
        self._jobs, self._max_bytes = jobs, max_bytes
        self._reserved: dict[str, int] = {}  # bytes, by job
        self._unsized: set[str] = set()  # jobs whose upload has an unknown size

    @contextlib.asynccontextmanager
    async def reserve(self, job: str, announced: int | None, most: int) -> AsyncIterator[int]:
        """Reserve space for an upload until it is stored.

        Args:
            job: id; its folder exists.
            announced: size in bytes, if the client announced it.
            most: largest upload in bytes.

        Yields:
            The number of bytes that the upload may have.

        Raises:
            ProblemError: instead of ``error()``, if uploads of unknown size may leave room.
        """
        if self._max_bytes is None:
            yield most
            return
        self._reserved[job] = 0
        if announced is None:
            self._unsized.add(job)
        try:
            unsized = self._unsized - {job}
            counted = dict(self._reserved)  # also those that end while the files are counted
            stored = await asyncio.to_thread(folders.disk_usage, self._jobs, without=counted)
            pending = counted | self._reserved
            free = max(0, self._max_bytes - stored - sum(pending.values()))
            wanted = most if announced is None else announced
            self._reserved[job] = min(wanted, free)
            held = sum(pending[other] for other in (unsized | self._unsized) - {job})
            try:
                yield min(most, free)
            except _ExceededError as error:
                if held and (announced is None or announced <= free + held):
                    raise self._wait_error() from error
                raise
        finally:
            del self._reserved[job]
            self._unsized.discard(job)

    def error(self) -> ProblemError:
        """Return the error that refuses an upload."""
        return _ExceededError(
            507,
            f"the uploads and results would take up more than the {self._gigabytes} GB that this "
            "server keeps: delete old results, or start the server with a larger --quota",
        )

    def _wait_error(self) -> ProblemError:
        return ProblemError(
            507,
            "another upload is in progress, of unknown size: it may take up what is left of the "
            f"{self._gigabytes} GB that this server keeps; try again later",
        )

    @property
    def _gigabytes(self) -> str:
        return f"{(self._max_bytes or 0) / GIGABYTE:g}"
