"""Stages of work that overlap: each in a thread of its own, with short queues in between.

Decoding, the face detector and the model spend their time in libraries that let other threads
run, so that a stage can work on what comes next while the following one is still at it.
"""

import threading
import time
from collections.abc import Generator, Iterable
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")


class _Waiting(threading.local):
    """Seconds that this thread has waited for other stages."""

    seconds = 0.0


waiting = _Waiting()


def prefetch(items: Iterable[T], depth: int) -> Generator[T]:
    """The same items in the same order, made in another thread, up to ``depth`` in advance.

    What goes wrong while they are made is raised here, after the items that came before it. To
    stop early, close the generator (``contextlib.closing``): the thread ends after the item that
    it is working on, and ``items`` is closed if it can be.

    Args:
        items: iterated, and closed, in the other thread only.
        depth: 1 or more; so many items wait at most.
    """
    queue: SimpleQueue[tuple[T] | BaseException | None] = SimpleQueue()
    room = threading.Semaphore(depth - 1)
    stopped, ended = threading.Event(), threading.Event()

    def work() -> None:
        end: BaseException | None = None
        try:
            try:
                for item in items:
                    queue.put((item,))
                    room.acquire()
                    if stopped.is_set():
                        break
            finally:
                if isinstance(items, Generator):
                    items.close()
        except BaseException as error:  # raised again in the other thread
            end = error
        queue.put(end)
        end = None  # its traceback knows this frame, and with it the last item
        ended.set()

    def take() -> tuple[T] | BaseException | None:
        began = time.perf_counter()
        got = queue.get()
        waiting.seconds += time.perf_counter() - began
        return got

    worker = threading.Thread(target=work, name=f"ahead of {threading.current_thread().name}")
    got: tuple[T] | BaseException | None = None
    try:
        worker.start()
        while isinstance(got := take(), tuple):
            room.release()
            yield got[0]
        if got is not None:
            raise got
    finally:
        got = None
        stopped.set()
        room.release()
        if worker.ident is not None:
            _wait(ended)
            worker.join()


def _wait(ended: threading.Event) -> None:
    """Wait for a thread's end even if interrupted: what it works with is about to be closed.

    Python 3.11 takes a thread for ended once ``join`` has been interrupted, so an event tells.
    """
    interruption: KeyboardInterrupt | None = None
    while not ended.is_set():
        try:
            ended.wait()
        except KeyboardInterrupt as error:
            interruption = error
    if interruption:
        raise interruption
