"""A worker process: start it, follow its messages and stop it."""

import asyncio
import contextlib
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from typing import Any

from fakelens.web.messages import (
    AliveMessage,
    FailureMessage,
    OutcomeMessage,
    ProgressMessage,
    Task,
    WorkerMessage,
)
from fakelens.web.watchdog import BEAT_SECONDS, Watchdog

_COMMAND = (sys.executable, "-P", "-m", "fakelens.web.worker")
OWN_GROUP: dict[str, Any] = {"process_group": 0}
if sys.platform == "win32":
    OWN_GROUP = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
_GRACE_SECONDS = 1.0  # between terminating and killing a process
_MAX_LINE = 2**24  # bytes; an outcome lists every person


async def run(
    task: Task, stall_seconds: float, on_progress: Callable[[ProgressMessage], None]
) -> OutcomeMessage | FailureMessage:
    """Run a task in a process of its own. If cancelled, stop the process before returning.

    Args:
        task: to run.
        stall_seconds: a worker that does nothing for this long is stopped; see ``watchdog``.
        on_progress: called with every progress message.

    Raises:
        asyncio.CancelledError: also if the worker was interrupted (SIGINT).
    """
    process = await asyncio.create_subprocess_exec(
        # In a process group of its own: on Ctrl-C the server stops it in an orderly way.
        *_COMMAND,
        stdin=PIPE,
        stdout=PIPE,
        limit=_MAX_LINE,
        **OWN_GROUP,
    )
    watchdog = Watchdog(stall_seconds)
    try:
        return await _follow(process, task, stall_seconds, watchdog, on_progress)
    except TimeoutError:
        seconds = max(stall_seconds, watchdog.silent_seconds)
        return FailureMessage(
            sentence=f"{task.name}: no progress for {seconds / 60:.0f} minutes, so the worker "
            "process was stopped; the job can be run again"
        )
    finally:
        await asyncio.shield(_stop(process))


async def _follow(
    process: Process,
    task: Task,
    stall_seconds: float,
    watchdog: Watchdog,
    on_progress: Callable[[ProgressMessage], None],
) -> OutcomeMessage | FailureMessage:
    assert process.stdin
    assert process.stdout
    with contextlib.suppress(ConnectionError):  # it has exited; see its return code
        process.stdin.write(f"{task.model_dump_json()}\n".encode())
        await process.stdin.drain()
    while True:
        line = await _read_line(process.stdout, stall_seconds)
        if not line.endswith(b"\n"):
            code = await process.wait()
            if code == -signal.SIGINT:
                # Ctrl-C for the server, received before the process had its own group.
                raise asyncio.CancelledError
            return _crash_message(task, code)
        message = WorkerMessage.validate_json(line)
        if isinstance(message, AliveMessage):
            watchdog.beat(message.cpu_seconds)
        elif isinstance(message, ProgressMessage):
            watchdog.progress((message.stage, message.done))
            on_progress(message)
        else:
            return message


async def _read_line(stream: asyncio.StreamReader, seconds: float) -> bytes:
    """Read a line.

    Raises:
        TimeoutError: none came for this long. After that there is time for one more sign of life,
            because this process may have been stopped itself, as may the whole machine.
    """
    try:
        async with asyncio.timeout(seconds):
            return await stream.readline()
    except TimeoutError:
        async with asyncio.timeout(2 * BEAT_SECONDS):
            return await stream.readline()


def _crash_message(task: Task, code: int) -> FailureMessage:
    if code >= 0:
        cause = f"the worker process exited with code {code} and no result; see the server's log"
    else:
        cause = f"the worker process was killed by signal {-code} ({signal.Signals(-code).name})"
        if -code == signal.SIGKILL:
            cause += ", perhaps because memory ran out"
    return FailureMessage(sentence=f"{task.name}: {cause}; the job can be run again")


async def _stop(process: Process) -> None:
    if process.stdin:
        process.stdin.close()  # makes it exit
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(_GRACE_SECONDS):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
