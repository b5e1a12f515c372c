"""Thresholds by conformal order statistics: formula, coverage, ties, groups, folds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fakelens.errors import UsageError
from fakelens.evaluation.thresholds import (
    ErrorLimits,
    assign_folds,
    check_groups,
    fit_thresholds,
)
from fakelens.records.models import Thresholds

Scores = NDArray[np.float64]


def fit(
    genuine: Scores, fakes: Scores, limits: ErrorLimits | None = None, copies: int = 1
) -> Thresholds:
    """Fit on one group per score, each with the same number of equal clips."""
    scores = np.repeat(np.concatenate([genuine, fakes]), copies)
    groups = np.repeat([f"g{row}" for row in range(len(genuine) + len(fakes))], copies)
    fake = np.repeat([False] * len(genuine) + [True] * len(fakes), copies)
    return fit_thresholds(scores, fake, groups, limits or ErrorLimits())


def test_thresholds_lie_just_beyond_the_order_statistics() -> None:
    # Of 39 and a new one, two of forty may lie beyond: the second highest of the genuine clips. Of
    # 19 fakes and a new one, two of twenty: the second lowest.
    genuine, fakes = np.arange(1, 40) / 50, np.arange(1, 20) / 50
    for copies in (1, 3):
        fitted = fit(genuine, fakes, copies=copies)
        assert (fitted.fake, fitted.real) == (0.761, 0.039)
    assert fit(genuine, fakes, ErrorLimits(1 / 40, 1 / 20)).fake == 0.781
    assert fit(genuine, fakes, ErrorLimits(0.0749, 0.1499)).fake == 0.761
    assert fit(genuine, fakes, ErrorLimits(0.075, 0.15)).fake == 0.741


def test_the_source_names_numbers_rule_and_limits() -> None:
    source = fit(np.arange(1, 40) / 50, np.arange(1, 20) / 50, copies=2).source
    for words in (
        "78 genuine clips of 39 groups and 38 fakes of 19 groups",
        "at most 0.05,",
        "at most 0.1 ",
        "conformal order statistics",
    ):
        assert words in source
    assert source.endswith(". On other material these rates do not hold")
    assert source.count(". ") == 1


@pytest.mark.parametrize("digits", [None, 1], ids=["continuous", "ties"])
def test_new_clips_are_wrong_no_more_often_than_asked(digits: int | None) -> None:
    """A simulation: the rate is at most the limit, and without ties it is the exact one."""
    rng = np.random.default_rng(0)
    wrong, draws = np.zeros(2), 4000
    limits = ErrorLimits(0.05, 0.1)
    for _ in range(draws):
        real, fake = rng.beta(2, 3, 31), rng.beta(3, 2, 31)  # they overlap: no crossing
        if digits is not None:
            real, fake = real.round(digits).clip(0, 0.9), fake.round(digits).clip(0.1, 1)
        fitted = fit(real[:-1], fake[:-1], limits)
        wrong += real[-1] >= fitted.fake, fake[-1] <= fitted.real
    deviation = np.sqrt(np.array([0.05, 0.1]) / draws)
    # Of 31 values, 1 of 31 and 3 of 31 may be wrong.
    exact = np.array([1 / 31, 3 / 31])
    assert (wrong / draws <= exact + 3 * deviation).all()
    if digits is None:
        assert wrong / draws == pytest.approx(exact, abs=0.015)


def test_a_group_counts_once_with_its_most_misleading_clip() -> None:
    """Correlated clips: the rate holds for new groups, though plain clips would break it."""
    rng = np.random.default_rng(1)
    limits, sizes = ErrorLimits(0.05, 0.1), np.full(24, 6)
    groups = np.repeat(np.arange(48).astype(str), 6)
    fake = np.repeat([False, True], 144)
    alarms = misses = 0
    draws = 1500
    for _ in range(draws):
        centre = np.repeat(rng.normal(0, 1, 48), 6)
        logits = centre + rng.normal(0, 0.3, 288) + np.where(fake, 0.5, -0.5)
        fitted = fit_thresholds(1 / (1 + np.exp(-logits)), fake, groups, limits)
        new = rng.normal(0, 1, (2, 1)) + rng.normal(0, 0.3, (2, sizes[0])) + [[-0.5], [0.5]]
        new = 1 / (1 + np.exp(-new))
        alarms += (new[0] >= fitted.fake).any()
        misses += (new[1] <= fitted.real).any()
    assert alarms / draws <= 0.05 + 3 * np.sqrt(0.05 / draws)
    assert misses / draws <= 0.1 + 3 * np.sqrt(0.1 / draws)


def test_classes_that_are_apart_get_one_threshold_in_the_middle() -> None:
    genuine, fakes = np.linspace(0.01, 0.1, 30), np.linspace(0.9, 0.99, 30)
    fitted = fit(genuine, fakes)
    assert fitted.fake == fitted.real == pytest.approx(0.5, abs=0.02)
    assert "the middle" in fitted.source
    # In logits: the middle of those of 0.0011 and 0.899, not that of the scores.
    fitted = fit(np.full(30, 0.001), np.full(30, 0.9))
    assert fitted.fake == pytest.approx(1 / (1 + np.exp((6.811 - 2.186) / 2)), abs=0.001)


@given(
    st.lists(st.floats(0, 1, exclude_max=True, width=32), min_size=20, max_size=40),
    st.lists(st.floats(0, 1, exclude_min=True, width=32), min_size=10, max_size=40),
    st.sampled_from([0.05, 0.1, 0.3, 0.6]),
)
def test_the_rates_hold_on_the_clips_themselves(
    real: list[float], fake: list[float], rate: float
) -> None:
    """Whatever the scores, saturated ones too: the conformal counts are kept after rounding."""
    real = [min(score, 1 - 1e-7) for score in real]
    fake = [max(score, 1e-7) for score in fake]
    fitted = fit(np.array(real), np.array(fake), ErrorLimits(rate, max(0.1, rate)))
    assert 0 <= fitted.real <= fitted.fake <= 1
    alarms = sum(score >= fitted.fake for score in real)
    misses = sum(score <= fitted.real for score in fake)
    assert alarms <= rate * (len(real) + 1) - 1 + 1e-6
    assert misses <= max(0.1, rate) * (len(fake) + 1) - 1 + 1e-6


def test_saturated_scores_keep_a_threshold_beyond_them_or_are_refused() -> None:
    fakes = np.linspace(0.2, 1, 20)
    fitted = fit(np.full(20, 0.99991), fakes)
    assert 0.99991 < fitted.fake < 0.99993
    with pytest.raises(UsageError, match=r"scores of genuine clips reach 1.*raise --false-alarms"):
        fit(np.ones(20), fakes)
    with pytest.raises(UsageError, match=r"scores of fakes reach 0.*raise --misses"):
        fit(np.full(20, 0.5), np.zeros(20))


@pytest.mark.parametrize(
    ("genuine", "fakes", "spare", "words"),
    [
        (18, 9, 0, r"--false-alarms 0\.05 needs genuine clips of at least 19 .* are 18: .* 0\.053"),
        (19, 9, 1, r"--false-alarms 0\.05 needs genuine clips of at least 20 .* are 19: .* 0\.053"),
        (20, 8, 0, r"--misses 0\.1 needs fakes of at least 9 groups .* are 8: .* --misses 0\.112"),
        (20, 9, 1, r"--misses 0\.1 needs fakes of at least 10 groups .* --misses 0\.112"),
        (20, 1, 1, r"at least 10 groups .* but there are 1: add clips$"),
        (0, 9, 0, r"at least 19 groups .* but there are 0: add clips$"),
    ],
)
def test_too_few_groups_are_refused_with_what_is_possible(
    genuine: int, fakes: int, spare: int, words: str
) -> None:
    fake = np.array([False] * genuine + [True] * fakes)
    groups = np.arange(genuine + fakes).astype(str)
    with pytest.raises(UsageError, match=words):
        check_groups(fake, groups, ErrorLimits(), spare=spare)


def test_just_enough_groups_and_the_suggested_rate_are_accepted() -> None:
    fake, groups = np.array([False] * 19 + [True] * 9), np.arange(28).astype(str)
    check_groups(fake, groups, ErrorLimits())
    check_groups(fake, groups, ErrorLimits(0.053, 0.112), spare=1)


@pytest.mark.parametrize("rate", [0, 1, -0.1, float("nan")])
def test_rates_outside_0_and_1_are_refused(rate: float) -> None:
    with pytest.raises(UsageError, match="--misses must lie between 0 and 1"):
        ErrorLimits(misses=rate)


@pytest.mark.parametrize(
    ("genuine", "both", "fakes", "folds"),
    [(25, 0, 13, 5), (10, 15, 5, 5), (20, 0, 10, 30), (22, 0, 40, 62)],
)
def test_folds_keep_groups_together_and_leave_enough_to_fit(
    genuine: int, both: int, fakes: int, folds: int
) -> None:
    names = [f"r{n}" for n in range(genuine)] + [f"b{n}" for n in range(both)] * 2
    names += [f"f{n}" for n in range(fakes)]
    fake = np.array([False] * (genuine + both) + [True] * (both + fakes))
    groups, limits = np.array(names), ErrorLimits()
    found = assign_folds(fake, groups, limits)
    assert len(set(found.tolist())) == folds
    for group in set(names):
        assert len(set(found[groups == group].tolist())) == 1
    for label in (False, True):
        sizes = [len(set(groups[(found == n) & (fake == label)].tolist())) for n in set(found)]
        assert max(sizes) - min(sizes) <= 1
    for fold in set(found.tolist()):
        check_groups(fake[found != fold], groups[found != fold], limits)
    order = np.random.default_rng(0).permutation(len(fake))
    assert (assign_folds(fake[order], groups[order], limits) == found[order]).all()


def test_folds_need_a_group_to_spare() -> None:
    fake, groups = np.array([False] * 19 + [True] * 10), np.arange(29).astype(str)
    with pytest.raises(UsageError, match="genuine clips of at least 20 groups"):
        assign_folds(fake, groups, ErrorLimits())


def test_thresholds_of_a_calibrated_model_stay_on_their_side_of_no_evidence() -> None:
    low = np.linspace(0.01, 0.3, 40)
    free = fit(low, low + 0.65)
    assert 0.3 < free.fake == free.real < 0.66
    assert fit(low, low + 0.01).fake < 0.5
    bound = fit(low, low + 0.01, limits=ErrorLimits(neutral=0.5))
    assert (bound.fake, bound.real) == (0.5, fit(low, low + 0.01).real)
    high = 1 - low
    assert fit(high - 0.01, high).real > 0.5
    bound = fit(high - 0.01, high, limits=ErrorLimits(neutral=0.5))
    assert (bound.fake, bound.real) == (fit(high - 0.01, high).fake, 0.5)
