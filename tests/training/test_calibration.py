"""Thresholds and calibration, on samples of known distributions."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import ArrayLike

pytest.importorskip("sklearn", reason="training needs the extra [training]")

from training.calibration import (
    ScoredPersons,
    build_calibration,
    choose_thresholds,
    fit_platt,
    is_person,
    is_visible,
    supported_limit,
    weighted_quantile,
)
from training.yardstick.items import Item


def scored(real: ArrayLike, fake: ArrayLike) -> ScoredPersons:
    """Make persons with equal weights within their label."""
    real, fake = np.ravel(real), np.ravel(fake)
    labels = np.repeat([False, True], [len(real), len(fake)])
    weights = np.where(labels, 1 / len(fake), 1 / len(real))
    parts = np.full(len(labels), "all")
    return ScoredPersons(np.concatenate([real, fake]).astype(np.float64), labels, weights, parts)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def test_parts_of_a_set_have_equal_weight_within_a_label() -> None:
    labels = [("a", False)] * 3 + [("b", False), ("a", True), ("b", True), ("b", True)]
    items = [Item(part, fake, "o", "k", "g", ()) for part, fake in labels]
    persons = ScoredPersons.from_items(items, range(7))
    assert persons.fake.tolist() == [fake for _, fake in labels]
    assert persons.logits.tolist() == list(range(7))
    assert persons.weights == pytest.approx([1 / 6] * 3 + [1 / 2, 1 / 2, 1 / 4, 1 / 4])
    scaled = persons.scaled(2, -1)
    assert scaled.logits.tolist() == [-1, 1, 3, 5, 7, 9, 11]


def test_calibration_recovers_the_line_of_the_log_odds() -> None:
    rng = np.random.default_rng(7)
    # Two normal distributions of equal width: the log odds are linear, with the slope distance /
    # variance. Four times as many fakes change nothing.
    factor, offset = fit_platt(scored(rng.normal(1.0, 2.0, 20000), rng.normal(4.0, 2.0, 80000)))
    assert factor == pytest.approx(3 / 4, rel=0.05)
    assert offset == pytest.approx(-3 / 4 * 2.5, rel=0.05)


def test_weighted_quantile_equals_values_computed_by_hand() -> None:
    values, weights = np.array([3.0, 1, 2, 4]), np.array([2.0, 1, 3, 4])
    # The sorted values 1, 2, 3, 4 reach 0.1, 0.4, 0.6, 1 of the weight.
    found = [
        weighted_quantile(values, weights, share) for share in (0.05, 0.1, 0.11, 0.4, 0.6, 0.61, 1)
    ]
    assert found == [1, 1, 2, 2, 3, 4, 4]
    rng = np.random.default_rng(2)
    many = rng.normal(size=101)
    for share in (0.05, 0.5, 0.9):
        expected = np.quantile(many, share, method="inverted_cdf")
        assert weighted_quantile(many, np.ones(101), share) == expected


def test_thresholds_have_their_error_rates() -> None:
    rng = np.random.default_rng(8)
    persons = scored(rng.normal(-1, 1, 4000), rng.normal(1, 1, 8000))
    thresholds, scores = choose_thresholds(persons), sigmoid(persons.logits)
    assert (scores[~persons.fake] > thresholds.fake).mean() == pytest.approx(0.05, abs=0.005)
    assert (scores[persons.fake] < thresholds.real).mean() == pytest.approx(0.1, abs=0.005)
    assert "4000 genuine and 8000 forged" in thresholds.source
    assert "5% of the genuine ones, and at most 5% of those in videos" in thresholds.source
    hopeless = choose_thresholds(scored(rng.normal(0, 1, 4000), rng.normal(0, 1, 4000)))
    assert hopeless.real <= hopeless.fake


def test_thresholds_use_the_weights_of_persons() -> None:
    # Nine of ten genuine persons have a low score, but the tenth has half of the weight.
    logits = np.array([*np.linspace(-3, -2, 9), 2.0, 3.0])
    fake = np.arange(11) == 10
    weights = np.array([*[1 / 18] * 9, 1 / 2, 1.0])
    thresholds = choose_thresholds(ScoredPersons(logits, fake, weights, np.full(len(fake), "all")))
    assert thresholds.fake == pytest.approx(sigmoid(np.float64(2)), abs=1e-3)


def test_no_medium_has_more_false_alarms() -> None:
    rng = np.random.default_rng(8)
    low, high = rng.normal(-2, 1, 4000), rng.normal(0, 1, 1000)
    persons = scored(np.concatenate([low, high]), rng.normal(2, 1, 8000))
    media = np.array([*["photographs"] * 4000, *["videos"] * 1000, *["forged"] * 8000])
    thresholds = choose_thresholds(replace(persons, media=media))
    alarms = [float((sigmoid(part) > thresholds.fake).mean()) for part in (low, high)]
    assert alarms[1] == pytest.approx(0.05, abs=0.005)
    assert alarms[0] < 0.005


def test_persons_of_the_calibration_are_no_single_crops_and_leave_a_trace() -> None:
    def item(part: str, kind: str) -> Item:
        return Item(part, True, "origin", kind, "group", ())

    assert [is_person(item(part, "face")) for part in ("blends", "forged tracks")] == [False, True]
    kinds = ("warp", "bottleneck", "swap", "genuine", "DFDC")
    assert [is_visible(item("forged tracks", kind)) for kind in kinds] == [False] * 2 + [True] * 3


def test_ratios_are_limited_to_what_the_persons_support() -> None:
    # No genuine person is above 0 and no forged one below: at the k-th highest ratio there are k
    # hits of 99 and no false alarm of 99, or one of 100 if one more person was misleading.
    ratios = np.linspace(0.1, 9, 99)
    first, k = next(
        (t, hits)
        for t, hits in zip(ratios, range(99, 0, -1), strict=True)
        if np.exp(t) > 100 * hits / 99
    )
    limit = supported_limit(scored(-ratios, ratios))
    assert np.exp(first) > 10**limit == pytest.approx(100 * k / 99)
    # 79 of 1000 genuine persons have a ratio of 15, half of the forged ones 25. Up to 15, hits are
    # 0.5 / 0.08 = 6.25 times as frequent as false alarms, so higher ratios are misleading, however
    # good the ratios beyond 15 are.
    real = np.log(np.repeat([15, 0.9], [79, 921]))
    fake = np.log(np.repeat([25, 1.2], [500, 500]))
    misled = scored([real, -fake], [fake, -real])
    assert 10 ** supported_limit(misled) < 6.3
    # Ten persons on one side support a ratio of at most 11: ten hits against one of eleven.
    for side in (
        scored(-ratios[:10] - 5, np.tile(ratios + 5, 10)),
        scored(np.tile(-ratios - 5, 10), ratios[:10] + 5),
    ):
        assert 10 ** supported_limit(side) <= 11
    # With equal distributions, no ratio is supported.
    same = np.linspace(-3, 3, 99)
    assert supported_limit(scored(same, same)) < 0.1
    # True ratios of two unit normals two apart: more persons support a higher limit.
    rng = np.random.default_rng(5)
    few, many = (
        scored(2 * rng.normal(-1, 1, count), 2 * rng.normal(1, 1, 2 * count))
        for count in (200, 4000)
    )
    assert 0.7 < supported_limit(few) < supported_limit(many) - 0.5
    # Exaggerated ratios are not supported by any number of persons.
    assert supported_limit(many.scaled(5, 0)) < supported_limit(many)


def test_reliability_table_counts_the_fakes_in_each_interval() -> None:
    rng = np.random.default_rng(6)
    persons = scored(2 * rng.normal(-1, 1, 3000), 2 * rng.normal(1, 1, 6000))
    calibration = build_calibration(persons, 0.5, -0.25)
    assert sum(part.faces for part in calibration.bins) == 9000
    scores = sigmoid(persons.logits)
    for number, part in enumerate(calibration.bins):
        here = (scores >= number / 10) & (scores < (number + 1) / 10)
        assert part.faces == here.sum()
        # The logits are true ratios if half of the persons are fake.
        assert part.fake == pytest.approx(part.score, abs=0.06)
    assert calibration.limit <= supported_limit(persons) < calibration.limit + 0.01
    assert "0.5000 * logit -0.2500" in calibration.method
    assert calibration.data.startswith("3000 genuine and 6000 forged")
