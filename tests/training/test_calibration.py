"""From logits to thresholds and a calibrated score, on samples whose truth is known."""

import numpy as np
import pytest
from numpy.typing import ArrayLike

pytest.importorskip("sklearn", reason="training needs the extra [train]")

from training.calibration import (
    Scored,
    choose_thresholds,
    describe,
    platt,
    quantile,
    supported_limit,
)
from training.yardstick.items import Item


def scored(real: ArrayLike, fake: ArrayLike) -> Scored:
    """Persons that all weigh the same within their label."""
    real, fake = np.ravel(real), np.ravel(fake)
    labels = np.repeat([False, True], [len(real), len(fake)])
    weights = np.where(labels, 1 / len(fake), 1 / len(real))
    return Scored(np.concatenate([real, fake]).astype(np.float64), labels, weights)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def test_parts_of_a_set_weigh_the_same_within_a_label() -> None:
    labels = [("a", False)] * 3 + [("b", False), ("a", True), ("b", True), ("b", True)]
    items = [Item(part, fake, "o", "k", "g", ()) for part, fake in labels]
    persons = Scored.of(items, range(7))
    assert persons.fake.tolist() == [fake for _, fake in labels]
    assert persons.logits.tolist() == list(range(7))
    assert persons.weights == pytest.approx([1 / 6] * 3 + [1 / 2, 1 / 2, 1 / 4, 1 / 4])
    scaled = persons.scaled(2, -1)
    assert scaled.logits.tolist() == [-1, 1, 3, 5, 7, 9, 11]


def test_calibration_finds_the_line_that_made_the_logits() -> None:
    rng = np.random.default_rng(7)
    # Two normals of equal width: the log odds are linear, slope = distance / variance. Four times
    # as many fakes change nothing.
    factor, offset = platt(scored(rng.normal(1.0, 2.0, 20000), rng.normal(4.0, 2.0, 80000)))
    assert factor == pytest.approx(3 / 4, rel=0.05)
    assert offset == pytest.approx(-3 / 4 * 2.5, rel=0.05)


def test_a_weighted_quantile_by_hand() -> None:
    values, weights = np.array([3.0, 1, 2, 4]), np.array([2.0, 1, 3, 4])
    # Sorted: 1, 2, 3, 4 reach 0.1, 0.4, 0.6, 1 of the weight.
    found = [quantile(values, weights, share) for share in (0.05, 0.1, 0.11, 0.4, 0.6, 0.61, 1)]
    assert found == [1, 1, 2, 2, 3, 4, 4]
    rng = np.random.default_rng(2)
    many = rng.normal(size=101)
    for share in (0.05, 0.5, 0.9):
        expected = np.quantile(many, share, method="inverted_cdf")
        assert quantile(many, np.ones(101), share) == expected


def test_thresholds_keep_their_error_rates() -> None:
    rng = np.random.default_rng(8)
    persons = scored(rng.normal(-1, 1, 4000), rng.normal(1, 1, 8000))
    thresholds, scores = choose_thresholds(persons), sigmoid(persons.logits)
    assert (scores[~persons.fake] > thresholds.fake).mean() == pytest.approx(0.05, abs=0.005)
    assert (scores[persons.fake] < thresholds.real).mean() == pytest.approx(0.1, abs=0.005)
    assert "4000 genuine and 8000 forged" in thresholds.source
    assert "5% of the genuine ones are above" in thresholds.source
    hopeless = choose_thresholds(scored(rng.normal(0, 1, 4000), rng.normal(0, 1, 4000)))
    assert hopeless.real <= hopeless.fake


def test_thresholds_weigh_persons() -> None:
    # Nine genuine persons of ten score low, but the tenth is half of the weight.
    logits = np.array([*np.linspace(-3, -2, 9), 2.0, 3.0])
    fake = np.arange(11) == 10
    weights = np.array([*[1 / 18] * 9, 1 / 2, 1.0])
    thresholds = choose_thresholds(Scored(logits, fake, weights))
    assert thresholds.fake == pytest.approx(sigmoid(np.float64(2)), abs=1e-3)


def test_ratios_are_limited_to_what_the_persons_bear_out() -> None:
    # No genuine person above 0, no forged one below: the k-th highest ratio has k hits of 99 and
    # no alarm of 99, one of 100 if one more misled.
    ratios = np.linspace(0.1, 9, 99)
    first, k = next(
        (t, hits)
        for t, hits in zip(ratios, range(99, 0, -1), strict=True)
        if np.exp(t) > 100 * hits / 99
    )
    limit = supported_limit(scored(-ratios, ratios))
    assert np.exp(first) > 10**limit == pytest.approx(100 * k / 99)
    # 79 of 1000 genuine persons at a ratio of 15, half of the forged ones at 25: up to 15 the hits
    # are 0.5 / 0.08 = 6.25 times as frequent, so ratios above that mislead, whatever lies beyond.
    real = np.log(np.repeat([15, 0.9], [79, 921]))
    fake = np.log(np.repeat([25, 1.2], [500, 500]))
    misled = scored([real, -fake], [fake, -real])
    assert 10 ** supported_limit(misled) < 6.3
    # Ten on one side bear out less than a thousand: at most ten hits against one of eleven.
    for side in (
        scored(-ratios[:10] - 5, np.tile(ratios + 5, 10)),
        scored(np.tile(-ratios - 5, 10), ratios[:10] + 5),
    ):
        assert 10 ** supported_limit(side) <= 11
    # As many forged persons among the genuine ones: nothing is.
    same = np.linspace(-3, 3, 99)
    assert supported_limit(scored(same, same)) < 0.1
    # True ratios of two unit normals two apart: far more are borne out by twenty times the persons.
    rng = np.random.default_rng(5)
    few, many = (
        scored(2 * rng.normal(-1, 1, count), 2 * rng.normal(1, 1, 2 * count))
        for count in (200, 4000)
    )
    assert 0.7 < supported_limit(few) < supported_limit(many) - 0.5
    # Exaggerated ratios are not borne out however many there are.
    assert supported_limit(many.scaled(5, 0)) < supported_limit(many)


def test_the_description_counts_what_became_of_each_score() -> None:
    rng = np.random.default_rng(6)
    persons = scored(2 * rng.normal(-1, 1, 3000), 2 * rng.normal(1, 1, 6000))
    found = describe(persons, 0.5, -0.25)
    assert sum(part.faces for part in found.bins) == 9000
    scores = sigmoid(persons.logits)
    for number, part in enumerate(found.bins):
        here = (scores >= number / 10) & (scores < (number + 1) / 10)
        assert part.faces == here.sum()
        # The logits are true ratios where half of the persons are fake.
        assert part.fake == pytest.approx(part.score, abs=0.06)
    assert found.limit <= supported_limit(persons) < found.limit + 0.01
    assert "0.5000 * logit -0.2500" in found.method
    assert found.data.startswith("3000 genuine and 6000 forged")
