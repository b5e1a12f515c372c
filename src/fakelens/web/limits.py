"""What a server takes in, and what one job may use up."""

import os
from dataclasses import dataclass

from fakelens.errors import UsageError

MEGABYTE = 1_000_000
_MOST_FRAMES_A_SECOND = 120  # headers lie about the length; frames can be counted
_MEMORY = 6 * 2**30  # bytes; 4K on two cores takes 1.6 GiB, and each further core some more


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a server and of its jobs.

    Attributes:
        upload_bytes: largest upload.
        minutes: longest video.
        queue: most jobs that wait, uploads on their way included.
        workers: most jobs at work at a time.
        pixels: largest picture.
        memory_bytes: of one worker process; only Linux holds it to that.
        stall_seconds: a worker that says nothing for so long is ended.
        idle_seconds: an upload of which nothing arrives for so long is given up.
        lost: a job that was at work whenever the server died is given up after so many times.

    Raises:
        UsageError: one is below 1.
    """

    upload_bytes: int = 2000 * MEGABYTE
    minutes: int = 120
    queue: int = 100
    workers: int = 1
    pixels: int = 120 * MEGABYTE
    memory_bytes: int = _MEMORY
    stall_seconds: float = 900
    idle_seconds: float = 60
    lost: int = 3

    def __post_init__(self) -> None:
        for name, option in _OPTIONS.items():
            if getattr(self, name) < 1:
                raise UsageError(f"{option} must be 1 or more")

    @property
    def frames(self) -> int:
        """Most frames of a video, whatever its header promises."""
        return self.minutes * 60 * _MOST_FRAMES_A_SECOND

    @property
    def threads(self) -> int | None:
        """Of the model in each worker; ``None`` takes one per core."""
        return None if self.workers == 1 else max(1, (os.cpu_count() or 1) // self.workers)


_OPTIONS = {
    "upload_bytes": "--max-upload",
    "minutes": "--max-minutes",
    "queue": "--max-queue",
    "workers": "--workers",
}
