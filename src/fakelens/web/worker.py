"""``python -m fakelens.web.worker``: one job, in a process of its own.

It reads a ``protocol.Task`` as one line from standard input, says how far it is on standard output,
and ends at once when standard input does: then the server is gone. What it may use up is limited
where the system can do that; files are decoded here and nowhere else in ``web``.
"""

import contextlib
import os
import re
import sys
import threading
import time
import traceback
from dataclasses import replace
from typing import TextIO

import av

from fakelens.analysis.pipeline import analyze
from fakelens.errors import FakelensError, MediaError
from fakelens.media.reader import open_container
from fakelens.models.loading import load_model
from fakelens.records.report import Report
from fakelens.records.settings import AUTO_PER_SECOND, EXAMINE_EVERY, Settings
from fakelens.report.save import save_report
from fakelens.web.messages import (
    FailureMessage,
    JudgedPerson,
    Message,
    OutcomeMessage,
    ProgressMessage,
    Stage,
    Task,
)

_PAUSE = 0.2  # seconds between two messages on progress
_NICE = 10
_TOO_LARGE = re.compile(r"Picture size (\d+)x(\d+)")  # FFmpeg's words
_MEMORY_SENTENCE = "needs more memory than a job may take: try a smaller or shorter version"


def main() -> None:
    """Do what standard input says, and say how it went."""
    said = _private_output()
    task = Task.model_validate_json(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_the_server, daemon=True).start()
    _limit(task)
    _say(said, _do(task, said))
    os._exit(0)  # at once: a thread waits for standard input


def _do(task: Task, said: TextIO) -> OutcomeMessage | FailureMessage:
    try:
        _look(task)
        report = analyze(
            task.input,
            model=load_model(task.model, threads=task.threads),
            settings=Settings(
                every=EXAMINE_EVERY if task.every == "auto" else task.every,
                per_second=AUTO_PER_SECOND if task.every == "auto" else None,
                trust=task.trust,
            ),
            progress=_ProgressReporter(task, said, "examining"),
        )
        provenance = replace(report.provenance, input_name=task.name)
        report = replace(report, provenance=provenance)
        save_report(report, task.output, progress=_ProgressReporter(task, said, "drawing"))
    except MemoryError:
        return FailureMessage(sentence=f"{task.name}: {_MEMORY_SENTENCE}")
    except FakelensError as error:
        return FailureMessage(sentence=_without_paths(str(error), task))
    except Exception:
        traceback.print_exc()
        return FailureMessage(
            sentence=f"{task.name}: the analysis failed unexpectedly; the server's log says why"
        )
    return _outcome(report)


def _outcome(report: Report) -> OutcomeMessage:
    judged = tuple(
        JudgedPerson(
            person=finding.person,
            verdict=finding.verdict,
            score=finding.score,
            first=finding.first,
            last=finding.last,
        )
        for finding in report.findings
        if finding.score is not None
    )
    return OutcomeMessage(
        video_sha256=report.provenance.input_sha256,
        faces_found=bool(report.tracks),
        persons=judged,
    )


def _look(task: Task) -> None:
    """Refuse what is too long or too large before it is decoded for good.

    What is wrong otherwise is left to ``analyze`` to tell.
    """
    try:
        open_container(task.input).close()
    except MediaError:
        return
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture(local=False) as log, open_container(task.input) as container:
            minutes = (container.duration or 0) / av.time_base / 60
            if minutes > task.minutes:
                raise MediaError(
                    f"{task.name}: is {minutes:.0f} minutes long, and this server takes "
                    f"{task.minutes}: cut it, or start the server with a larger --max-minutes"
                )
            for stream in container.streams.video:
                if stream.codec_context is None:
                    continue
                _check_size(task, stream.width, stream.height)
                stream.codec_context.options = {"max_pixels": str(task.pixels)}
            with contextlib.suppress(av.error.FFmpegError, StopIteration):
                next(container.decode(video=0))
    except (av.error.FFmpegError, IndexError, OSError):
        return
    finally:
        av.logging.set_level(None)
    for _, _, words in log:
        if found := _TOO_LARGE.search(words):
            _check_size(task, int(found[1]), int(found[2]))


def _check_size(task: Task, width: int, height: int) -> None:
    if width * height > task.pixels:
        raise MediaError(
            f"{task.name}: its pictures have {width} x {height} pixels, and this server takes "
            f"{task.pixels / 1e6:.0f} million: make them smaller"
        )


class _ProgressReporter:
    """Tells the server how far a stage is, not too often; stops a video without an end."""

    def __init__(self, task: Task, said: TextIO, stage: Stage) -> None:
        self._task, self._said, self._stage = task, said, stage
        self._next = 0.0

    def __call__(self, done: int, total: int | None) -> None:
        if done > self._task.frames:
            raise MediaError(
                f"{self._task.name}: has more than {self._task.frames} frames, too many for a "
                f"video of {self._task.minutes} minutes, the longest that this server takes: cut it"
            )
        if (now := time.monotonic()) >= self._next:
            self._next = now + _PAUSE
            # A header may promise less than there is.
            total = total if total is None else max(total, done)
            _say(self._said, ProgressMessage(stage=self._stage, done=done, total=total))


def _without_paths(sentence: str, task: Task) -> str:
    for place, words in (
        (task.input, task.name),
        (task.output, "the results"),
        (task.input.parent, "the results"),
    ):
        sentence = sentence.replace(str(place), words)
    return sentence


def _private_output() -> TextIO:
    """Standard output for messages alone: what libraries print goes to standard error."""
    said = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return said


def _say(said: TextIO, message: Message) -> None:
    said.write(f"{message.model_dump_json()}\n")
    said.flush()


def _end_with_the_server() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os._exit(1)


def _limit(task: Task) -> None:
    """Make sure that a hostile file takes down this process and not the machine (Linux)."""
    if sys.platform != "linux":
        return
    import resource  # noqa: PLC0415 - not everywhere

    most = min(task.memory_bytes, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 3 // 4)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(_NICE)
    with open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123 - no file to speak of
        file.write("500")  # where memory runs out, this process goes before others


if __name__ == "__main__":
    main()
