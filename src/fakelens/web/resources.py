"""Limits of the processes that decode uploads."""

import os
import sys

_NICE = 10


def limit_resources(memory_bytes: int) -> None:
    """Limit memory and priority, so that a hostile file cannot affect the machine (Linux)."""
    if sys.platform != "linux":
        return
    import resource  # noqa: PLC0415 - not on every platform

    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = min(memory_bytes, physical * 3 // 4)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(_NICE)
    with open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123 - not a real file
        file.write("500")  # when memory runs out, this process is killed before others
