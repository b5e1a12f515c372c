"""Prefetching keeps the order, limits the queue and ends cleanly; profiles exclude waiting."""

import gc
import threading
import time
import weakref
from collections.abc import Generator, Iterator
from contextlib import closing

import pytest

from fakelens.media.prefetch import prefetch
from fakelens.media.profile import Profile


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before


def count_when_settled(made: list[int], expected: int) -> int:
    """Wait for ``expected`` items and a little longer; return the number of items then."""
    for _ in range(500):
        if len(made) >= expected:
            break
        time.sleep(0.01)
    time.sleep(0.1)
    return len(made)


@pytest.mark.parametrize("depth", [1, 2, 7])
@pytest.mark.parametrize("count", [0, 1, 20])
def test_all_items_arrive_in_order(count: int, depth: int) -> None:
    assert list(prefetch(iter(range(count)), depth)) == list(range(count))
    assert list(prefetch(prefetch((i * i for i in range(count)), depth), 3)) == [
        i * i for i in range(count)
    ]


def test_items_are_produced_in_one_other_thread() -> None:
    def make() -> Iterator[threading.Thread]:
        for _ in range(5):
            yield threading.current_thread()

    (maker,) = set(prefetch(make(), 2))
    assert maker is not threading.current_thread()


@pytest.mark.parametrize("depth", [1, 4])
def test_at_most_depth_items_are_produced_ahead(depth: int) -> None:
    made: list[int] = []

    def make() -> Iterator[int]:
        for i in range(50):
            made.append(i)
            yield i

    with closing(prefetch(make(), depth)) as items:
        assert next(items) == 0
        assert count_when_settled(made, 1 + depth) == 1 + depth
        assert [next(items) for _ in range(3)] == [1, 2, 3]
        assert count_when_settled(made, 4 + depth) == 4 + depth


def test_no_item_is_referenced_after_an_error() -> None:
    class Item:
        pass

    held: list[weakref.ref[Item]] = []

    def make() -> Iterator[Item]:
        for _ in range(3):
            item = Item()
            held.append(weakref.ref(item))
            yield item
        raise MakingError

    gc.disable()
    try:
        with pytest.raises(MakingError):
            list(prefetch(make(), 2))
        assert [item() for item in held] == [None] * 3
    finally:
        gc.enable()


class MakingError(Exception):
    pass


def test_an_error_is_raised_after_the_items_before_it() -> None:
    def make() -> Iterator[int]:
        yield from range(3)
        raise MakingError

    items = prefetch(make(), 2)
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(MakingError):
        next(items)


def test_stopping_early_closes_the_source_in_its_own_thread() -> None:
    closed_by: list[threading.Thread] = []
    makers: list[threading.Thread] = []

    def make() -> Generator[int]:
        makers.append(threading.current_thread())
        try:
            yield from range(1000)
        finally:
            closed_by.append(threading.current_thread())

    with closing(prefetch(make(), 2)) as items:
        assert [next(items) for _ in range(5)] == list(range(5))
        assert closed_by == []
    assert closed_by == makers != []


def test_closing_the_end_of_a_chain_closes_all_stages() -> None:
    made: list[int] = []

    def make() -> Iterator[int]:
        for i in range(1000):
            made.append(i)
            yield i

    with (
        closing(prefetch(make(), 2)) as first,
        closing(prefetch((-i for i in first), 2)) as second,
    ):
        assert next(second) == 0
    assert len(made) <= 1 + 2 + 1 + 2 + 1  # consumed, queued, in progress, queued, in progress


def test_no_thread_starts_before_the_first_item_is_requested() -> None:
    threads = threading.active_count()
    with closing(prefetch(iter(range(3)), 2)):
        assert threading.active_count() == threads


def test_a_profile_passes_on_errors_and_closing() -> None:
    closed: list[str] = []

    def make() -> Generator[int]:
        try:
            yield 1
            raise MakingError
        finally:
            closed.append("made")

    profile = Profile()
    source = make()  # referenced here, so that only closing ends it
    with closing(profile.measure_items("make", source)) as items:
        assert next(items) == 1
        assert closed == []
    assert closed == ["made"]
    with pytest.raises(MakingError):
        list(profile.measure_items("make", make()))


def test_a_profile_measures_work_without_waiting() -> None:
    profile = Profile()

    def slow(items: Iterator[int], seconds: float) -> Iterator[int]:
        for item in items:
            time.sleep(seconds)
            yield item

    made = prefetch(profile.measure_items("make", slow(iter(range(10)), 0.02)), 2)
    changed = prefetch(profile.measure_items("change", slow(made, 0.002)), 2)
    for _ in profile.measure_items("use", changed):
        with profile.measure("look"):
            time.sleep(0.001)
    assert profile.seconds.keys() == {"make", "change", "use", "look"}
    assert profile.seconds["make"] >= 0.2
    # Waiting for "make" takes about 0.2 s in each of the other stages.
    assert 0.02 <= profile.seconds["change"] < profile.seconds["make"] - 0.05
    assert 0.01 <= profile.seconds["look"] < profile.seconds["make"] - 0.05
    assert profile.seconds["use"] < profile.seconds["make"] - 0.05
