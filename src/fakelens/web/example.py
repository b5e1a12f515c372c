"""The example: the demo clip, one of whose two faces has a planted forgery.

``python -m fakelens.web.example PATH`` makes the clip, in a process of its own: this takes seconds,
and the server does not load the packages that contain the portraits.
"""

import asyncio
import contextlib
import sys
import tempfile
from asyncio.subprocess import DEVNULL
from importlib.util import find_spec
from pathlib import Path

from fakelens.errors import MissingExtraError
from fakelens.evaluation.demo import make_clip
from fakelens.web.problems import ProblemError
from fakelens.web.worker_process import OWN_GROUP

NAME = "example (planted forgery in person 2).mp4"
_SECONDS = 3  # long enough for a verdict on both people
_PORTRAITS = ("matplotlib", "skimage")
_COMMAND = (sys.executable, "-P", "-m", "fakelens.web.example")


def problem() -> str | None:
    """Return why the clip cannot be made, in a sentence without a full stop."""
    if all(find_spec(name) for name in _PORTRAITS):
        return None
    return str(MissingExtraError("the example", "demo"))


class ExampleClip:
    """The clip, which is made when it is first asked for, and then kept in memory."""

    def __init__(self) -> None:
        self._making = asyncio.Lock()
        self._data: bytes | None = None

    async def read(self) -> bytes:
        """Return the clip as MP4.

        Raises:
            ProblemError: it cannot be made.
        """
        async with self._making:
            if self._data is None:
                if sentence := problem():
                    raise ProblemError(501, sentence)
                with tempfile.TemporaryDirectory(prefix="fakelens-example-") as folder:
                    path = Path(folder, "clip.mp4")
                    await _make(path)
                    self._data = await asyncio.to_thread(path.read_bytes)
            return self._data


async def _make(path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *_COMMAND, str(path), stdin=DEVNULL, stdout=DEVNULL, **OWN_GROUP
    )
    try:
        code = await process.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    if code:
        raise ProblemError(
            500, "the example clip could not be made; see the server's log for the cause"
        )


if __name__ == "__main__":
    make_clip(Path(sys.argv[1]), seconds=_SECONDS)
