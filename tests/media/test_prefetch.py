"""Stages hand over everything in order, keep to their bounds and end cleanly."""

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


def settled(made: list[int], expected: int) -> int:
    """How many were made once there are so many and a little time for more has passed."""
    for _ in range(500):
        if len(made) >= expected:
            break
        time.sleep(0.01)
    time.sleep(0.1)
    return len(made)


@pytest.mark.parametrize("depth", [1, 2, 7])
@pytest.mark.parametrize("count", [0, 1, 20])
def test_all_items_come_in_order(count: int, depth: int) -> None:
    assert list(prefetch(iter(range(count)), depth)) == list(range(count))
    assert list(prefetch(prefetch((i * i for i in range(count)), depth), 3)) == [
        i * i for i in range(count)
    ]


def test_items_are_made_in_one_other_thread() -> None:
    def make() -> Iterator[threading.Thread]:
        for _ in range(5):
            yield threading.current_thread()

    (maker,) = set(prefetch(make(), 2))
    assert maker is not threading.current_thread()


@pytest.mark.parametrize("depth", [1, 4])
def test_so_many_are_made_in_advance_and_no_more(depth: int) -> None:
    made: list[int] = []

    def make() -> Iterator[int]:
        for i in range(50):
            made.append(i)
            yield i

    with closing(prefetch(make(), depth)) as items:
        assert next(items) == 0
        assert settled(made, 1 + depth) == 1 + depth
        assert [next(items) for _ in range(3)] == [1, 2, 3]
        assert settled(made, 4 + depth) == 4 + depth


def test_after_an_error_nothing_is_held() -> None:
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


def test_an_error_comes_after_the_items_before_it() -> None:
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


def test_the_end_of_a_chain_ends_all_of_it() -> None:
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
    assert len(made) <= 1 + 2 + 1 + 2 + 1  # taken, waiting, in hand, waiting, in hand


def test_nothing_starts_before_it_is_asked_for() -> None:
    threads = threading.active_count()
    with closing(prefetch(iter(range(3)), 2)):
        assert threading.active_count() == threads


def test_an_error_or_an_early_end_goes_through_a_profile() -> None:
    closed: list[str] = []

    def make() -> Generator[int]:
        try:
            yield 1
            raise MakingError
        finally:
            closed.append("made")

    profile = Profile()
    source = make()  # held here, so that nothing but closing it ends it
    with closing(profile.timed("make", source)) as items:
        assert next(items) == 1
        assert closed == []
    assert closed == ["made"]
    with pytest.raises(MakingError):
        list(profile.timed("make", make()))


def test_a_profile_counts_work_and_not_waiting() -> None:
    profile = Profile()

    def slow(items: Iterator[int], seconds: float) -> Iterator[int]:
        for item in items:
            time.sleep(seconds)
            yield item

    made = prefetch(profile.timed("make", slow(iter(range(10)), 0.02)), 2)
    changed = prefetch(profile.timed("change", slow(made, 0.002)), 2)
    for _ in profile.timed("use", changed):
        with profile.spend("look"):
            time.sleep(0.001)
    assert profile.seconds.keys() == {"make", "change", "use", "look"}
    assert profile.seconds["make"] >= 0.2
    # Waiting for what is made takes 0.2 s longer than either.
    assert 0.02 <= profile.seconds["change"] < profile.seconds["make"] - 0.05
    assert 0.01 <= profile.seconds["look"] < profile.seconds["make"] - 0.05
    assert profile.seconds["use"] < profile.seconds["make"] - 0.05
