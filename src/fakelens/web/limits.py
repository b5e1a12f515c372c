"""Limits of the server and of its jobs."""

import os
from dataclasses import dataclass

from fakelens.errors import UsageError

MEGABYTE = 1_000_000
GIGABYTE = 1000 * MEGABYTE
_MAX_FRAMES_PER_SECOND = 120  # to limit frames: the duration in a header can be wrong
_MAX_KEEP_DAYS = 36_500  # a hundred years; dates before the year 1 cannot be computed
_MEMORY = 6 * 2**30  # bytes; 4K on two cores takes 1.6 GiB, and each further core some more


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a server and of its jobs.

    Attributes:
        upload_bytes: largest upload.
        minutes: longest video.
        queue: most queued jobs, including uploads in progress.
        workers: most jobs that run at the same time.
        pixels: largest frame.
        memory_bytes: most memory of a worker process; enforced on Linux only.
        stall_seconds: a worker that does nothing for this long is stopped; see ``watchdog``.
        idle_seconds: an upload that receives no data for this long is aborted.
        connections: most open connections; fewer if the system allows fewer open files.
        header_seconds: a connection is closed if the headers of a request take longer.
        body_grace_seconds: time that a request body has in addition to that at the slowest rate.
        body_bytes_per_second: slowest rate of a request body, on average.
        max_crashes: a job fails after the server has died this many times while running it.
        keep_days: jobs are deleted this many days after they ended; ``None`` to keep them.
        quota_bytes: most space for uploads and results; ``None`` for no limit.

    Raises:
        UsageError: a limit with a command-line option is below 1, or ``keep_days`` is so large that
            no date is that long ago.
    """

    upload_bytes: int = 2000 * MEGABYTE
    minutes: int = 120
    queue: int = 100
    workers: int = 1
    pixels: int = 120 * MEGABYTE
    memory_bytes: int = _MEMORY
    stall_seconds: float = 900
    idle_seconds: float = 60
    connections: int = 400
    header_seconds: float = 10
    body_grace_seconds: float = 20
    body_bytes_per_second: int = 1000
    max_crashes: int = 3
    keep_days: int | None = None
    quota_bytes: int | None = None

    def __post_init__(self) -> None:
        for name, option in _OPTIONS.items():
            if (limit := getattr(self, name)) is not None and limit < 1:
                raise UsageError(f"{option} must be 1 or more")
        if self.keep_days is not None and self.keep_days > _MAX_KEEP_DAYS:
            raise UsageError(
                f"--keep must be {_MAX_KEEP_DAYS} days or less; leave it out to keep everything"
            )

    @property
    def frames(self) -> int:
        """Most frames of a video, whatever its header says."""
        return self.minutes * 60 * _MAX_FRAMES_PER_SECOND

    @property
    def threads(self) -> int | None:
        """Threads of the model in each worker; ``None`` for one per core."""
        return None if self.workers == 1 else max(1, (os.cpu_count() or 1) // self.workers)


_OPTIONS = {
    "upload_bytes": "--max-upload",
    "minutes": "--max-minutes",
    "queue": "--max-queue",
    "workers": "--workers",
    "keep_days": "--keep",
    "quota_bytes": "--quota",
}
