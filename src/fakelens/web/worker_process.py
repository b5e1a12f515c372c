"""One worker process: started, listened to, and ended."""

import asyncio
import contextlib
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from typing import Any

from fakelens.web.messages import FailureMessage, OutcomeMessage, ProgressMessage, Said, Task

_COMMAND = (sys.executable, "-P", "-m", "fakelens.web.worker")
_OWN_GROUP: dict[str, Any] = {"process_group": 0}
if sys.platform == "win32":
    _OWN_GROUP = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
_GRACE = 1.0  # seconds from asking to end to making it end
_LONGEST_LINE = 2**24  # bytes; an outcome names every person


async def run(
    task: Task, stall_seconds: float, listener: Callable[[ProgressMessage], None]
) -> OutcomeMessage | FailureMessage:
    """Do a task in a process of its own; cancelled, it ends the process first.

    A worker that is interrupted (SIGINT) counts as cancelled.

    Args:
        task: what to do.
        stall_seconds: a worker that says nothing for so long is ended.
        listener: told how far it is.
    """
    process = await asyncio.create_subprocess_exec(
        # In a group of its own: Ctrl-C in a terminal is for the server, which ends it in order.
        *_COMMAND,
        stdin=PIPE,
        stdout=PIPE,
        limit=_LONGEST_LINE,
        **_OWN_GROUP,
    )
    try:
        return await _listen(process, task, stall_seconds, listener)
    except TimeoutError:
        return FailureMessage(
            sentence=f"{task.name}: nothing moved for {stall_seconds / 60:.0f} minutes, so the "
            "worker was ended; the job can be run again"
        )
    finally:
        await asyncio.shield(_end(process))


async def _listen(
    process: Process, task: Task, stall_seconds: float, listener: Callable[[ProgressMessage], None]
) -> OutcomeMessage | FailureMessage:
    assert process.stdin
    assert process.stdout
    with contextlib.suppress(ConnectionError):  # it ended already; its return code tells why
        process.stdin.write(f"{task.model_dump_json()}\n".encode())
        await process.stdin.drain()
    while True:
        async with asyncio.timeout(stall_seconds):
            line = await process.stdout.readline()
        if not line.endswith(b"\n"):
            code = await process.wait()
            if code == -signal.SIGINT:
                # Ctrl-C that was meant for the server caught it before it had its own group.
                raise asyncio.CancelledError
            return _died(task, code)
        said = Said.validate_json(line)
        if not isinstance(said, ProgressMessage):
            return said
        listener(said)


def _died(task: Task, code: int) -> FailureMessage:
    if code >= 0:
        how = f"the worker ended with code {code} and without a result; the server's log says why"
    else:
        how = f"the worker was ended by signal {-code} ({signal.Signals(-code).name})"
        if -code == signal.SIGKILL:
            how += ", perhaps because memory ran out"
    return FailureMessage(sentence=f"{task.name}: {how}; the job can be run again")


async def _end(process: Process) -> None:
    if process.stdin:
        process.stdin.close()  # its lifeline
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(_GRACE):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
