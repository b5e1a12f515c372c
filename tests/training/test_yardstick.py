"""Figures, files and command of the yardstick, compared with other libraries and by hand."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tqdm", reason="training needs the extra [training]")
roc_auc_score = pytest.importorskip(
    "sklearn.metrics", reason="training needs the extra [training]"
).roc_auc_score

from fakelens.records.arrays import FloatArray  # noqa: E402
from fakelens.records.faces import Box, CropGeometry, Face  # noqa: E402
from training.yardstick import __main__ as command  # noqa: E402
from training.yardstick.aggregations import AGGREGATIONS, compare_aggregations, weighted_mean  # noqa: E402
from training.yardstick.figures import (  # noqa: E402
    alarm_threshold,
    balanced_weights,
    bootstrap,
    compute_figures,
    median_spread,
    weighted_auc,
)
from training.yardstick.items import Item, ItemWriter, View, read_items, sample_third  # noqa: E402
from training.yardstick.report import plot_scores  # noqa: E402
from training.yardstick.scoring import Scorer, face_logits  # noqa: E402

WHOLE = CropGeometry("box", 1.0)


def view(level: int, right: int | None = None, confidence: float = 1.0, size: int = 16) -> View:
    """Make a flat picture that the face fills; its right half may have another level."""
    picture = np.full((size, size, 3), level, np.uint8)
    picture[:, size // 2 :] = level if right is None else right
    landmarks = np.array([(4, 4), (12, 4), (8, 8), (5, 12), (11, 12)], np.float32)
    return View(picture, Face(Box(0, 0, size, size), landmarks, confidence), float(size))


def item(part: str, fake: bool, origin: str = "a", group: str = "", kind: str = "") -> Item:
    return Item(part, fake, origin, kind or ("swap" if fake else "genuine"), group, (view(0),))


def brightness(crops: np.ndarray) -> FloatArray:
    """Return the mean level of the left half, minus 100."""
    half = crops.shape[2] // 2
    return (crops[:, :, :half].mean(axis=(1, 2, 3)) - 100).astype(np.float32)


SCORER = Scorer(brightness, 8, WHOLE, 0.5)


def test_weighted_auc_agrees_with_sklearn_with_ties() -> None:
    rng = np.random.default_rng(0)
    fake = rng.random(300) < 0.4
    scores = np.round(rng.normal(size=300) + 0.7 * fake, 1)
    weights = rng.random(300)
    expected = roc_auc_score(fake, scores, sample_weight=weights)
    assert weighted_auc(scores, fake, weights) == pytest.approx(expected)


def test_all_parts_of_a_label_have_equal_weight() -> None:
    parts = ["x", "x", "x", "y", "y", "z"]
    fake = np.array([False, False, True, False, True, True])
    # Genuine items: x twice, y once; fakes: x, y and z once each.
    expected = [1 / 4, 1 / 4, 1 / 3, 1 / 2, 1 / 3, 1 / 3]
    np.testing.assert_allclose(balanced_weights(parts, fake), expected)


def test_pooled_auc_equals_the_value_computed_by_hand() -> None:
    parts = ["x", "x", "x", "y", "y"]
    fake = np.array([False, False, True, False, True])
    scores = np.array([0.0, 2.0, 1.0, 3.0, 4.0])
    # The fake of x is above 1/4 of the genuine weight, that of y above all of it.
    auc = bootstrap(scores, fake, parts, list("abcde"))
    assert auc.value == pytest.approx((1 / 4 + 1) / 2)
    assert 0 <= auc.low <= auc.value <= auc.high <= 1


def random_scores(number: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, list[str]]:
    rng = np.random.default_rng(seed)
    fake = np.arange(number) % 2 == 1
    return rng.normal(size=number) + fake, fake, [str(index) for index in range(number)]


def test_copies_within_groups_do_not_narrow_the_interval() -> None:
    scores, fake, groups = random_scores(60)
    once = bootstrap(scores, fake, ["x"] * 60, groups)
    copied = bootstrap(np.tile(scores, 5), np.tile(fake, 5), ["x"] * 300, groups * 5)
    assert copied.low == pytest.approx(once.low)
    assert copied.high == pytest.approx(once.high)
    apart = [str(index) for index in range(300)]
    free = bootstrap(np.tile(scores, 5), np.tile(fake, 5), ["x"] * 300, apart)
    assert free.high - free.low < 0.7 * (once.high - once.low)


def test_interval_has_the_width_of_the_hanley_mcneil_formula() -> None:
    scores, fake, groups = random_scores(400)
    auc = bootstrap(scores, fake, ["x"] * 400, groups)
    # Hanley and McNeil, Radiology 143, 1982.
    area, number = auc.value, 200
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (
        area * (1 - area) + (number - 1) * (q1 - area**2) + (number - 1) * (q2 - area**2)
    ) / number**2
    assert auc.high - auc.low == pytest.approx(2 * 1.96 * variance**0.5, rel=0.15)


def test_bootstrap_depends_on_the_seed() -> None:
    scores, fake, groups = random_scores(40)
    first, again, other = (bootstrap(scores, fake, ["x"] * 40, groups, s) for s in (1, 1, 2))
    assert first == again
    assert (first.low, first.high) != (other.low, other.high)


def test_alarm_threshold_equals_values_computed_by_hand() -> None:
    values, ones = np.arange(40.0), np.ones(40)
    # Two of forty are 5 %.
    assert alarm_threshold(values[::-1], ones) == 37
    assert (values > 37).sum() == 2
    # The highest score has 10 % of the weight, so it must not be above the threshold.
    weights = np.append(np.ones(9), 1.0)
    assert alarm_threshold(np.arange(10.0), weights) == 9
    # Equal scores are not above each other.
    assert alarm_threshold(np.array([0.0, 5, 5, 5]), np.ones(4)) == 5


def test_spread_of_medians_equals_the_value_computed_by_hand() -> None:
    genuine = np.array([0.0, 2.0, 4.0, 6.0])  # standard deviation sqrt(5)
    spread, reach = median_spread([1.0, 3.0, 5.0], genuine)
    assert spread == pytest.approx((8 / 3) ** 0.5 / 5**0.5)
    assert reach == pytest.approx(4 / 5**0.5)


def test_figures_equal_values_computed_by_hand() -> None:
    stills = [item("stills", False, origin, f"{origin}{n}") for origin in "ab" for n in range(10)]
    blends = [item("blends", False, "a", f"a{n}") for n in range(10)]
    fakes = [item("blends", True, "a", f"a{n}", kind) for n in range(5) for kind in ("hull", "hat")]
    scores = np.concatenate(
        [
            np.arange(10.0),  # a
            np.arange(10.0) + 2,  # b: 10 and 11 are above all others
            np.arange(10.0),  # genuine partners
            np.tile([20.0, -20.0], 5),  # hull above, hat below everything
        ]
    )
    figures = compute_figures([*stills, *blends, *fakes], scores, 8.5)
    assert figures.pooled.value == pytest.approx(0.5)
    assert figures.parts.keys() == {"blends"}
    assert figures.kinds == {"blends hull": 1.0, "blends hat": 0.0}
    assert figures.origins == {"a": pytest.approx(0.5)}
    # Weights: 1/40 for each still, 1/20 for each partner. Two stills of b are above 9: 5 %.
    assert figures.threshold == 9
    assert figures.found == {"pooled": pytest.approx(0.5), "blends": pytest.approx(0.5)}
    assert figures.alarms == {"all": 2 / 20, "a": 0.0, "b": pytest.approx(0.2)}
    assert figures.own_alarms == {"all": 4 / 20, "a": pytest.approx(0.1), "b": pytest.approx(0.3)}
    assert figures.medians == {"a": 4.5, "b": 6.5}
    genuine = scores[:30]
    assert figures.reach == pytest.approx(2 / np.std(genuine))
    assert figures.spread == pytest.approx(1 / np.std(genuine))


def test_constant_scores_give_an_auc_of_one_half() -> None:
    items = [
        item(part, fake, origin, f"{origin}{n}")
        for part in ("forged tracks", "blends")
        for origin in "ab"
        for n in range(4)
        for fake in (False, True)
    ] + [item("stills", False, "c", f"c{n}") for n in range(4)]
    figures = compute_figures(items, np.zeros(len(items)), 0.5)
    aucs = [figures.pooled, *figures.parts.values()]
    values = [value for auc in aucs for value in (auc.value, auc.low, auc.high)]
    np.testing.assert_allclose(values, 0.5, rtol=1e-12)
    assert {*figures.kinds.values(), *figures.origins.values()} == {0.5}
    assert {*figures.found.values(), *figures.alarms.values(), *figures.own_alarms.values()} == {0}
    assert (figures.spread, figures.reach) == (0, 0)


def test_logits_are_grouped_by_item() -> None:
    levels = [[10], [20, 30, 40], list(range(50, 110))]
    items = [
        Item("tracks", False, "a", "genuine", "g", tuple(view(level, 200) for level in some))
        for some in levels
    ]
    logits = face_logits(SCORER, items, WHOLE)
    for some, found in zip(levels, logits, strict=True):
        np.testing.assert_allclose(found, np.array(some) - 100)
    mirrored = face_logits(SCORER, items, WHOLE, mirror=True)
    assert {float(value) for some in mirrored for value in some} == {100.0}


def test_aggregations_equal_values_computed_by_hand() -> None:
    views = (view(0, confidence=0.5), view(0, confidence=1.0, size=48), view(0, confidence=0.5))
    person = Item("tracks", True, "a", "swap", "g", views)
    logits = np.array([0.0, 8.0, 4.0], np.float32)
    found = {name: aggregate(person, logits) for name, aggregate in AGGREGATIONS.items()}
    certain = 1 / (1 + np.exp(-np.array([8.0, 4.0]))) - 0.5
    assert found == {
        "mean": pytest.approx(4),
        "trimmed mean": pytest.approx(4),
        "median": 4,
        "top third": 8,
        "by |p - .5|": pytest.approx((certain @ [8, 4]) / certain.sum()),
        "by confidence": pytest.approx((8 + 2) / 2),
        "by face width": pytest.approx((48 * 8 + 16 * 4) / 80),
    }
    assert weighted_mean(logits, np.zeros(3)) == 4


def test_aggregations_are_compared_on_items_with_several_faces() -> None:
    def person(fake: bool, group: str, count: int) -> Item:
        return Item("forged tracks", fake, "a", "swap", group, tuple(view(0) for _ in range(count)))

    items = [person(False, "a", 3), person(True, "b", 3), person(True, "c", 1)]
    logits = [np.array([0.0, 0, 3]), np.array([1.0, 1, 1]), np.array([-9.0])]
    mirrored = [np.array([8.0, 8, 8]), np.array([0.0, 0, 0]), np.array([0.0])]
    aucs = {name: auc.value for name, auc in compare_aggregations(items, logits, mirrored).items()}
    assert aucs["mean"] == 0.5
    assert aucs["median"] == 1
    assert aucs["top third"] == 0
    assert aucs["mean with mirror images"] == 0


def some_items() -> list[Item]:
    return [
        Item(
            part,
            fake,
            origin,
            "swap" if fake else "genuine",
            f"{origin}{n}",
            tuple(view(90 + 5 * n + 20 * fake + face) for face in range(2)),
        )
        for part in ("forged tracks", "blends")
        for origin in ("LFW", "films")
        for n in range(4)
        for fake in (False, True)
    ] + [Item("stills", False, "LFW", "genuine", "s", (view(80, 120),))]


def test_set_is_read_as_it_was_written(tmp_path: Path) -> None:
    items = some_items()
    with ItemWriter(tmp_path / "set") as writer:
        for one in items:
            writer.add(one)
    for one, other in zip(items, read_items(tmp_path / "set"), strict=True):
        labels = ("part", "fake", "origin", "kind", "group")
        assert [getattr(one, name) for name in labels] == [getattr(other, name) for name in labels]
        for before, after in zip(one.views, other.views, strict=True):
            np.testing.assert_array_equal(before.picture, after.picture)
            np.testing.assert_allclose(before.face.landmarks, after.face.landmarks)
            assert before.face.box == after.face.box
            assert (before.face.confidence, before.native_side) == (
                after.face.confidence,
                after.native_side,
            )


def test_incomplete_set_cannot_be_read(tmp_path: Path) -> None:
    with ItemWriter(tmp_path) as writer:
        writer.add(some_items()[0])
    with pytest.raises(KeyboardInterrupt), ItemWriter(tmp_path):
        raise KeyboardInterrupt
    with pytest.raises(FileNotFoundError):
        read_items(tmp_path)


def test_third_of_every_stratum_is_sampled() -> None:
    items = [
        item("blends", fake, origin, f"{origin}{n}")
        for origin, number in (("a", 9), ("b", 4))
        for n in range(number)
        for fake in (False, True)
    ]
    some = sample_third(items)
    assert some == sample_third(items)
    assert Counter((one.origin, one.fake) for one in some) == {
        ("a", False): 3,
        ("a", True): 3,
        ("b", False): 2,
        ("b", True): 2,
    }


def test_command_prints_and_writes_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "load_scorer", lambda name, threads: SCORER)
    with ItemWriter(tmp_path / "set") as writer:
        for one in some_items():
            writer.add(one)
    command.main(
        ["model"],
        folder=tmp_path / "set",
        scale=[1.0, 1.4],
        aggregations=True,
        json_file=tmp_path / "figures.json",
        plot_file=tmp_path / "plot.png",
    )
    printed = capsys.readouterr().out
    assert "model, box 1.4: pooled AUC" in printed
    assert "pooled AUC changes by 0.000 between the margins" in printed
    entries = json.loads((tmp_path / "figures.json").read_text())
    assert [entry["crop"]["scale"] for entry in entries] == [1.0, 1.4]
    # In each origin and part, genuine levels are 90..105, and fake ones 110..125.
    assert entries[0]["pooled"]["value"] == entries[1]["pooled"]["value"] == 1.0
    # Medians do not include the counterparts of forgeries, which are degraded.
    assert entries[0]["medians"].keys() == {"LFW"}
    assert (tmp_path / "plot.png").stat().st_size > 5000


def test_logits_are_averaged_with_the_mirror_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = []
    monkeypatch.setattr(command, "load_scorer", lambda name, threads: SCORER)
    monkeypatch.setattr(
        command,
        "compute_figures",
        lambda items, scores, own: recorded.append(scores) or compute_figures(items, scores, own),
    )
    with ItemWriter(tmp_path) as writer:
        for one in some_items():
            writer.add(one)
    for mirror in (False, True):
        command.main(["model"], folder=tmp_path, mirror=mirror)
    assert [scores[-1] for scores in recorded] == [-20, 0]


def test_plot_has_a_panel_for_each_model(tmp_path: Path) -> None:
    items = some_items()
    scores = np.linspace(-1, 1, len(items))
    plot_scores(["one", "two"], items, [scores, scores], tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
