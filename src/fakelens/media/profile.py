"""Measures the time spent in each stage of a pipeline."""

import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager

from fakelens.media.prefetch import T, waiting


class Profile:
    """Time spent in each stage, without waiting for earlier stages.

    Stages overlap, so their sum can exceed the elapsed time.

    Attributes:
        seconds: by name of the stage.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Return a context whose time counts towards a stage."""
        started, waited = time.perf_counter(), waiting.seconds
        try:
            yield
        finally:
            busy = time.perf_counter() - started - (waiting.seconds - waited)
            self.seconds[stage] = self.seconds.get(stage, 0.0) + busy

    def measure_items(self, stage: str, items: Iterable[T]) -> Generator[T]:
        """Yield the same items; the time to produce them counts towards a stage.

        Closing this generator early also closes ``items`` if that is a generator.
        """
        iterator = iter(items)
        try:
            while True:
                try:
                    with self.measure(stage):
                        item = next(iterator)
                except StopIteration:
                    return
                yield item
        finally:
            if isinstance(items, Generator):
                items.close()
