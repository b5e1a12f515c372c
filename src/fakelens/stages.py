"""Stages of work that overlap: each in a thread of its own, with short queues in between.

Decoding, the face detector and the network spend their time in libraries that let other threads
run, so that a stage can work on what comes next while the following one is still at it.
"""

import threading
from collections.abc import Generator, Iterable
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Iterable[T], depth: int) -> Generator[T]:
    """The same items in the same order, made in another thread, up to ``depth`` in advance.

    What goes wrong while they are made is raised here, after the items that came before it. To
    stop early, close the generator (``contextlib.closing``): the thread ends after the item that
    it is working on, and ``items`` is closed if it can be.

    Args:
        items: iterated, and closed, in the other thread only.
        depth: 1 or more; so many items wait at most.
    """
    queue: SimpleQueue[tuple[T] | BaseException | None] = SimpleQueue()
    room, stopped = threading.Semaphore(depth - 1), threading.Event()

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

    worker = threading.Thread(target=work, name=f"ahead of {threading.current_thread().name}")
    worker.start()
    try:
        while isinstance(got := queue.get(), tuple):
            room.release()
            yield got[0]
        if got is not None:
            raise got
    finally:
        stopped.set()
        room.release()
        worker.join()
