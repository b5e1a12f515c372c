"""Where the time goes."""

import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager

from fakelens.media.prefetch import T, waiting


class Profile:
    """Where the time goes: seconds at work by stage, without waiting for earlier stages.

    Stages overlap, so that their sum can be more than the time that passed.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def spend(self, stage: str) -> Iterator[None]:
        """Count what is done inside towards a stage."""
        began, waited = time.perf_counter(), waiting.seconds
        try:
            yield
        finally:
            busy = time.perf_counter() - began - (waiting.seconds - waited)
            self.seconds[stage] = self.seconds.get(stage, 0.0) + busy

    def timed(self, stage: str, items: Iterable[T]) -> Generator[T]:
        """The same items; making them counts towards a stage, what is done with them does not.

        Closed early, it closes ``items`` if it can be.
        """
        iterator = iter(items)
        try:
            while True:
                try:
                    with self.spend(stage):
                        item = next(iterator)
                except StopIteration:
                    return
                yield item
        finally:
            if isinstance(items, Generator):
                items.close()
