"""Intervals cover what they say they cover, and runs are judged by the length of the video.

By simulation: first-order autoregressions of known mean and correlation, normal or heavy-tailed.
"""

import numpy as np
import pytest
from numpy.typing import NDArray

from fakelens.analysis.statistics import chance_of_run, correlation_time, mean_interval


def series(
    rng: np.random.Generator, count: int, correlation: float, *, heavy: bool
) -> NDArray[np.float64]:
    """A stationary series of mean 0 and deviation 1."""
    steps = rng.standard_t(4, count) / np.sqrt(2) if heavy else rng.standard_normal(count)
    values = np.empty(count)
    values[0] = steps[0]
    for index in range(1, count):
        fresh = np.sqrt(1 - correlation**2) * steps[index]
        values[index] = correlation * values[index - 1] + fresh
    return values


@pytest.mark.parametrize("heavy", [False, True], ids=["normal", "heavy"])
@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.5])
@pytest.mark.parametrize("count", [4, 6, 8, 10, 14, 20, 40, 120])
def test_the_interval_covers_the_mean_often_enough(
    count: int, correlation: float, heavy: bool
) -> None:
    rng = np.random.default_rng(count)
    repeats = 1500
    inside = 0
    for _ in range(repeats):
        low, high = mean_interval(series(rng, count, correlation, heavy=heavy))
        inside += low <= 0 <= high
    assert inside / repeats >= 0.93 - 0.012  # two standard errors of the simulation


@pytest.mark.parametrize("correlation", [0.3, 0.5])
def test_the_interval_is_not_wider_than_it_must_be(correlation: float) -> None:
    rng = np.random.default_rng(3)
    time = (1 + correlation) / (1 - correlation)
    for count, most in ((20, 1.7), (120, 1.2), (1000, 1.05)):
        widths = []
        for _ in range(300):
            low, high = mean_interval(series(rng, count, correlation, heavy=False))
            widths.append(high - low)
        assert np.median(widths) < most * 2 * 1.96 * np.sqrt(time / count)


def test_the_quantile_is_that_of_students_t() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    values = rng.standard_normal(400)
    low, high = mean_interval(values)
    time = correlation_time(values)
    variance = ((values - values.mean()) ** 2).sum() / (len(values) - time)
    expected = stats.t.ppf(0.975, len(values) / time - 1) * np.sqrt(variance * time / len(values))
    assert (high - low) / 2 == pytest.approx(expected, rel=2e-3)


def first_high_run(values: NDArray[np.float64], threshold: float) -> list[slice]:
    high = np.flatnonzero(values >= threshold)
    runs = np.split(high, np.flatnonzero(np.diff(high) > 1) + 1) if len(high) else []
    return [slice(run[0], run[-1] + 1) for run in runs if len(run) >= 2]


@pytest.mark.parametrize("minutes", [0.25, 1, 10, 120])
@pytest.mark.parametrize("heavy", [False, True], ids=["normal", "heavy"])
def test_a_genuine_person_has_no_suspicious_run_however_long_the_video(
    minutes: float, heavy: bool
) -> None:
    rng = np.random.default_rng(7)
    repeats = 200 if minutes < 60 else 25
    suspicious = 0
    for _ in range(repeats):
        values = series(rng, int(120 * minutes), 0.5, heavy=heavy) - 2
        runs = first_high_run(values, 1.13)
        suspicious += any(chance_of_run(values, run) < 0.05 for run in runs)
    assert suspicious / repeats <= 0.12


@pytest.mark.parametrize(
    ("minutes", "seconds", "least"), [(1, 4, 0.8), (10, 4, 0.6), (120, 10, 0.9)]
)
def test_a_forged_stretch_is_found_in_a_long_video(
    minutes: int, seconds: int, least: float
) -> None:
    rng = np.random.default_rng(11)
    found, repeats = 0, 40
    for _ in range(repeats):
        values = series(rng, 120 * minutes, 0.4, heavy=False) - 2
        start = rng.integers(0, len(values) - 2 * seconds)
        values[start : start + 2 * seconds] += 4.5
        found += any(chance_of_run(values, run) < 0.05 for run in first_high_run(values, 1.13))
    assert found / repeats >= least
