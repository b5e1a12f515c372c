"""``python -m fakelens.web.worker``: one job, in a process of its own.

The process reads a ``messages.Task`` as one line from standard input and writes its progress to
standard output, with a sign of life every second. It exits at once when standard input ends,
because then the server has gone. Its memory is limited on Linux. Uploads are decoded here and in
``examiner.process``, and nowhere else in ``web``.
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
from fakelens.media.container import open_container
from fakelens.media.pictures import picture_size
from fakelens.models.loading import load_model
from fakelens.records.settings import AUTO_PER_SECOND, EXAMINE_EVERY, Settings
from fakelens.report.save import save_report
from fakelens.web.messages import (
    AliveMessage,
    FailureMessage,
    Message,
    OutcomeMessage,
    ProgressMessage,
    Stage,
    Task,
)
from fakelens.web.outcomes import finish_results
from fakelens.web.resources import limit_resources
from fakelens.web.watchdog import BEAT_SECONDS

_sending = threading.Lock()

_PROGRESS_INTERVAL = 0.2  # seconds between two progress messages
_TOO_LARGE = re.compile(r"Picture size (\d+)x(\d+)")  # in FFmpeg's log
_OUT_OF_MEMORY = (
    "needs more memory than a job may use: upload a shorter clip or one of lower resolution"
)
_UNEXPECTED = "the analysis failed unexpectedly; see the server's log for the cause"


def main() -> None:
    """Run the task on standard input, and report its outcome on standard output."""
    output = _private_output()
    task = Task.model_validate_json(sys.stdin.buffer.readline())
    threading.Thread(target=_exit_with_server, daemon=True).start()
    threading.Thread(target=_send_signs_of_life, args=(output,), daemon=True).start()
    limit_resources(task.memory_bytes)
    _send(output, _run(task, output))
    os._exit(0)  # without waiting for the thread that reads standard input


def _run(task: Task, output: TextIO) -> OutcomeMessage | FailureMessage:
    try:
        _check_input(task)
        report = analyze(
            task.input,
            model=load_model(task.model, threads=task.threads),
            settings=Settings(
                every=EXAMINE_EVERY if task.every == "auto" else task.every,
                per_second=AUTO_PER_SECOND if task.every == "auto" else None,
                trust=task.trust,
            ),
            progress=_ProgressReporter(task, output, "examining"),
            workspace=task.output.parent,
        )
        provenance = replace(report.provenance, input_name=task.name)
        report = replace(report, provenance=provenance)
        save_report(report, task.output, progress=_ProgressReporter(task, output, "drawing"))
        return finish_results(task, report)
    except MemoryError:
        return FailureMessage(sentence=f"{task.name}: {_OUT_OF_MEMORY}")
    except FakelensError as error:
        return FailureMessage(sentence=_without_paths(str(error), task))
    except Exception:
        traceback.print_exc()
        return FailureMessage(sentence=f"{task.name}: {_UNEXPECTED}")


def _check_input(task: Task) -> None:
    """Refuse an upload that is too long or too large, before the analysis decodes it.

    Other errors in the upload are left to ``analyze``.

    Raises:
        MediaError: the upload exceeds a limit.
    """
    size = None
    with contextlib.suppress(MediaError):  # too large for any server: left to ``analyze``
        size = picture_size(task.input)
    if size:
        _check_size(task, *size)
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
                    f"{task.name}: is {minutes:.0f} minutes long, longer than this server accepts "
                    f"({task.minutes} min): upload a shorter clip, or start the server with a "
                    "larger --max-minutes"
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
    for _, _, line in log:
        if found := _TOO_LARGE.search(line):
            _check_size(task, int(found[1]), int(found[2]))


def _check_size(task: Task, width: int, height: int) -> None:
    if width * height > task.pixels:
        raise MediaError(
            f"{task.name}: has {width} x {height} pixels, more than this server accepts "
            f"({task.pixels / 1e6:.0f} million): reduce the resolution"
        )


class _ProgressReporter:
    """Reports the progress of a stage at intervals, and stops a video with too many frames.

    While it is drawn, a video that is also re-encoded counts twice.
    """

    def __init__(self, task: Task, output: TextIO, stage: Stage) -> None:
        self._task, self._output, self._stage = task, output, stage
        self._next = 0.0

    def __call__(self, done: int, total: int | None) -> None:
        if self._stage == "examining" and done > self._task.frames:
            raise MediaError(
                f"{self._task.name}: has more than {self._task.frames} frames, the limit of this "
                "server: upload a shorter clip, or start the server with a larger --max-minutes"
            )
        if (now := time.monotonic()) >= self._next:
            self._next = now + _PROGRESS_INTERVAL
            # The header may give fewer frames than the video has.
            total = total if total is None else max(total, done)
            _send(self._output, ProgressMessage(stage=self._stage, done=done, total=total))


def _without_paths(sentence: str, task: Task) -> str:
    for path, replacement in (
        (task.input, task.name),
        (task.output, "the results"),
        (task.input.parent, "the results"),
    ):
        sentence = sentence.replace(str(path), replacement)
    return sentence


def _private_output() -> TextIO:
    """Reserve standard output for messages: what libraries print goes to standard error."""
    output = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return output


def _send(output: TextIO, message: Message) -> None:
    with _sending:
        output.write(f"{message.model_dump_json()}\n")
        output.flush()


def _send_signs_of_life(output: TextIO) -> None:
    with contextlib.suppress(OSError):  # the server has gone
        while True:
            _send(output, AliveMessage(cpu_seconds=time.process_time()))
            time.sleep(BEAT_SECONDS)


def _exit_with_server() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
