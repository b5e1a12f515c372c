"""Runs pipeline stages in parallel: each in its own thread, connected by short queues.

Decoding, the face detector and the model spend their time in libraries that release the GIL, so
one stage can work on the next item while the following stage processes the current one.
"""

import threading
import time
from collections.abc import Generator, Iterable
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")


class _Waiting(threading.local):
    """Time that the current thread has waited for other stages."""

    seconds = 0.0


waiting = _Waiting()


def prefetch(items: Iterable[T], depth: int) -> Generator[T]:
    """Yield the same items in the same order, produced in another thread up to ``depth`` ahead.

    An error in that thread is raised here, after the items produced before it. To stop early,
    close the generator (``contextlib.closing``): the thread ends after its current item, and
    ``items`` is closed if it is a generator.

    Args:
        items: iterated, and closed, in the other thread only.
        depth: largest number of items that wait in the queue, 1 or more.
    """
    queue: SimpleQueue[tuple[T] | BaseException | None] = SimpleQueue()
    free_slots = threading.Semaphore(depth - 1)
    stopped, ended = threading.Event(), threading.Event()

    def produce() -> None:
        error_at_end: BaseException | None = None
        try:
            try:
                for item in items:
                    queue.put((item,))
                    free_slots.acquire()
                    if stopped.is_set():
                        break
            finally:
                if isinstance(items, Generator):
                    items.close()
        except BaseException as error:  # raised again in the consuming thread
            error_at_end = error
        queue.put(error_at_end)
        error_at_end = None  # its traceback holds this frame, and with it the last item
        ended.set()

    def take() -> tuple[T] | BaseException | None:
        started = time.perf_counter()
        received = queue.get()
        waiting.seconds += time.perf_counter() - started
        return received

    consumer = threading.current_thread().name
    producer = threading.Thread(target=produce, name=f"prefetch for {consumer}")
    received: tuple[T] | BaseException | None = None
    try:
        producer.start()
        while isinstance(received := take(), tuple):
            free_slots.release()
            yield received[0]
        if received is not None:
            raise received
    finally:
        received = None
        stopped.set()
        free_slots.release()
        if producer.ident is not None:
            _wait(ended)
            producer.join()


def _wait(ended: threading.Event) -> None:
    """Wait for the end of a thread even if interrupted: its resources are about to be closed.

    An event is used because Python 3.11 takes a thread as ended once ``join`` was interrupted.
    """
    interruption: KeyboardInterrupt | None = None
    while not ended.is_set():
        try:
            ended.wait()
        except KeyboardInterrupt as error:
            interruption = error
    if interruption:
        raise interruption
