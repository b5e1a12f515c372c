"""The watchdog: tells a worker that is busy from one that has stalled.

Not every part of a job can report its progress: measuring trust and writing the page of a long
video take minutes. So each worker also sends a sign of life every second, with the CPU time it has
used. It has stalled if

* it sends nothing (the process is frozen), or uses hardly any CPU time, for ``stall_seconds``; or
* it computes without progress for as long as it took to reach its last progress, but at least for
  ``stall_seconds``. This grows with the length of the video, and ends an endless loop.

Time is counted in signs of life, so a machine that is suspended or overloaded does not count.
"""

BEAT_SECONDS = 1.0
"""Interval of the signs of life."""

_SMALLEST_LOAD = 0.01  # share of one core below which a worker counts as idle


class Watchdog:
    """Follows the messages of a worker.

    Args:
        stall_seconds: see the module.
    """

    def __init__(self, stall_seconds: float) -> None:
        self._limit = stall_seconds / BEAT_SECONDS
        self._smallest_work = stall_seconds * _SMALLEST_LOAD
        self._beats = 0
        self._cpu = 0.0  # seconds, at the last work
        self._work = self._progress = 0  # beats until then
        self._state: object = None

    @property
    def silent_seconds(self) -> float:
        """Time since the last progress."""
        return (self._beats - self._progress) * BEAT_SECONDS

    def progress(self, state: object) -> None:
        """Record progress, if the state differs from that of the last call."""
        if state != self._state:
            self._state = state
            self._progress = self._work = self._beats

    def beat(self, cpu_seconds: float) -> None:
        """Record a sign of life.

        Args:
            cpu_seconds: CPU time that the worker has used since its start.

        Raises:
            TimeoutError: the worker has stalled.
        """
        self._beats += 1
        if cpu_seconds - self._cpu >= self._smallest_work:
            self._cpu, self._work = cpu_seconds, self._beats
        idle, silent = self._beats - self._work, self._beats - self._progress
        if idle > self._limit or silent > max(self._limit, self._progress):
            raise TimeoutError
