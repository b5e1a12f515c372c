"""What is drawn on a frame: positions, scores and heatmaps, on one scale for the whole video."""

from dataclasses import replace
from itertools import accumulate, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from fakelens.records.faces import Box
from fakelens.records.report import Report
from fakelens.records.tracks import Track
from fakelens.records.trust import Assessment, Faithfulness, Robustness, TrustMark
from fakelens.render.overlay import Mark, Overlay, heatmap_scale
from support.builders import make_report, make_track

CERTAIN = 8.0  # a logit far beyond every threshold


def flat(*levels: float) -> NDArray[np.float32]:
    """Create (rows, 4, 4) uniform heatmaps, which do not change by smoothing."""
    return np.tile(np.float32(levels)[:, None, None], (1, 4, 4))


def one_person(
    levels: ArrayLike, logits: ArrayLike | None = None, *, every: int = 1, drift: float = 0
) -> Report:
    values = np.asarray(levels, dtype=np.float32)
    track = make_track(
        np.full(len(values), CERTAIN) if logits is None else logits,
        every=every,
        peaks=np.abs(values),
        drift=drift,
    )
    return judged(make_report(track, maps=flat(*values), every=every))


def judged(report: Report) -> Report:
    """Return a report whose people are judged, however short the track."""
    findings = tuple(replace(finding, seen_well=True) for finding in report.findings)
    return replace(report, findings=findings)


def only(marks: list[Mark]) -> Mark:
    (mark,) = marks
    return mark


def level(mark: Mark) -> float:
    """Return the strength of a uniform heatmap."""
    assert np.ptp(mark.strength) < 1e-5
    return float(mark.strength.mean())


@pytest.mark.parametrize("smooth", [True, False])
def test_all_persons_are_drawn_on_one_scale(smooth: bool) -> None:
    strong = make_track(np.full(10, CERTAIN), person=1, peaks=50, heatmaps=np.arange(10))
    weak = make_track(np.full(10, -CERTAIN), person=2, peaks=1, heatmaps=np.arange(10, 20))
    report = make_report(strong, weak, maps=flat(*[50] * 10, *[1] * 10))
    first, second = Overlay(report, smooth=smooth).marks(5)
    assert (first.person, second.person) == (1, 2)
    assert level(first) == pytest.approx(1, abs=1e-3)
    assert level(first) / level(second) == pytest.approx(50, rel=1e-3)


@given(st.floats(1e-3, 1e3))
def test_the_unit_of_heatmaps_does_not_matter(unit: float) -> None:
    levels = unit * np.array([0.25, -0.5, 1.0, 1.0, 1.0])
    drawn = [level(only(Overlay(one_person(levels), smooth=False).marks(k))) for k in range(5)]
    np.testing.assert_allclose(drawn, [0.25, -0.5, 1, 1, 1], rtol=2e-3)


def test_outlier_frames_do_not_define_the_scale_and_are_clipped() -> None:
    levels = np.ones(40)
    levels[7], levels[8] = 1000, -1000
    overlay = Overlay(one_person(levels), smooth=False)
    assert level(only(overlay.marks(20))) == pytest.approx(1)
    assert level(only(overlay.marks(7))) == 1
    assert level(only(overlay.marks(8))) == -1


def scale_of(logit: float, cam: str) -> float:
    track = make_track(np.full(20, logit), peaks=1)
    return heatmap_scale(make_report(track, maps=flat(*[1] * 20), cam=cam))


def test_heatmaps_of_an_undecided_model_are_drawn_faintly() -> None:
    # The thresholds are 0.4 and 0.6, each 0.1 away from the middle.
    assert scale_of(0, "hirescam") == np.inf  # in the middle between the thresholds
    assert scale_of(np.log(0.55 / 0.45), "hirescam") == pytest.approx(2, rel=1e-3)  # halfway
    assert scale_of(CERTAIN, "hirescam") == scale_of(-CERTAIN, "hirescam") == pytest.approx(1)


def test_a_method_with_evidence_for_fake_only_draws_nothing_on_real_faces() -> None:
    assert scale_of(CERTAIN, "layercam") == pytest.approx(1)
    assert scale_of(-CERTAIN, "layercam") == np.inf


def test_a_method_with_evidence_for_real_only_is_drawn_on_real_faces() -> None:
    assert scale_of(-CERTAIN, "tf2cam") == pytest.approx(1)
    assert scale_of(CERTAIN, "tf2cam") == np.inf


@pytest.mark.parametrize("logit", [-40.0, -1e4])
def test_extreme_logits_for_real_draw_no_evidence_for_fake(
    logit: float,
) -> None:
    track = make_track(np.full(20, logit), peaks=1)
    report = make_report(track, maps=flat(*[1] * 20), cam="layercam")
    assert level(only(Overlay(report).marks(3))) == 0


def test_empty_heatmaps_are_not_drawn() -> None:
    assert level(only(Overlay(one_person(np.zeros(5))).marks(2))) == 0


def test_empty_heatmaps_do_not_change_the_scale() -> None:
    levels = np.zeros(40)
    levels[10] = 1e-3
    overlay = Overlay(one_person(levels), smooth=False)
    assert level(only(overlay.marks(10))) == pytest.approx(1, rel=1e-3)
    assert level(only(overlay.marks(11))) == 0


def test_between_examined_frames_everything_is_interpolated() -> None:
    report = one_person([1, 0, 1], [2, 4, 8], every=4, drift=10)
    overlay = Overlay(report)
    for frame, box in [(0, 40), (1, 42.5), (2, 45), (3, 47.5), (4, 50), (7, 57.5), (8, 60)]:
        mark = only(overlay.marks(frame))
        np.testing.assert_allclose(
            [mark.box.x1, mark.box.x2, mark.area.x1, mark.area.x2], [box, box + 40] * 2, rtol=1e-6
        )
        assert (mark.box.y1, mark.box.y2) == (20, 70)
    scores = [only(overlay.marks(frame)).score for frame in range(9)]
    assert scores == sorted(scores)
    assert scores[0] < scores[2] < scores[4]
    levels = [level(only(overlay.marks(frame))) for frame in range(9)]
    assert levels[0] > levels[2] > levels[4]
    np.testing.assert_allclose(levels, levels[::-1], rtol=1e-5)


def test_without_smoothing_the_nearest_examined_frame_is_shown() -> None:
    overlay = Overlay(one_person([1, 0.25, 1], every=4), smooth=False)
    drawn = [level(only(overlay.marks(frame))) for frame in (0, 1, 3, 4, 5, 7, 8)]
    np.testing.assert_allclose(drawn, [1, 1, 0.25, 0.25, 0.25, 1, 1], rtol=1e-3)


@pytest.mark.parametrize("frame", [0, 9, 21, 39, 10**6])
@pytest.mark.parametrize("smooth", [True, False])
def test_nobody_is_shown_before_and_after_a_track(frame: int, smooth: bool) -> None:
    track = make_track(np.full(10, CERTAIN), first=10)  # frames 10 to 19
    assert Overlay(make_report(track, maps=flat(*[1] * 10)), smooth=smooth).marks(frame) == []


@pytest.mark.parametrize("every", [1, 3])
def test_nobody_is_shown_in_a_gap_of_a_track(every: int) -> None:
    track = make_track(np.full(6, CERTAIN), every=every)
    track.frames[3:] += 2 * every
    track.times[:] = track.frames / 25
    overlay = Overlay(make_report(track, maps=flat(*[1] * 6), every=every))
    first, last = 2 * every, 5 * every
    assert [bool(overlay.marks(frame)) for frame in range(first, last + 1)] == [
        frame in (first, last) for frame in range(first, last + 1)
    ]


def test_all_persons_on_a_frame_are_shown_with_their_numbers() -> None:
    tracks = [
        make_track(np.full(10, CERTAIN), person=person, first=first)
        for person, first in ((1, 0), (2, 5), (4, 8))
    ]
    overlay = Overlay(make_report(*tracks, maps=flat(*[1] * 10)))
    people = {frame: [mark.person for mark in overlay.marks(frame)] for frame in (0, 5, 9, 10, 17)}
    assert people == {0: [1], 5: [1, 2], 9: [1, 2, 4], 10: [2, 4], 17: [4]}


def is_visible(frames: list[int], frame: int, every: int) -> bool:
    return frame in frames or any(a < frame < b and b - a <= every for a, b in pairwise(frames))


@given(st.data(), st.sampled_from([1, 2, 5, 63, 64, 65, 200]))
def test_exactly_the_persons_visible_on_a_frame_are_shown_in_their_order(
    data: st.DataObject, every: int
) -> None:
    steps = st.lists(st.sampled_from([every, every, every, every + 1, 100]), max_size=8)
    tracks, seen = [], {}
    for person in range(1, data.draw(st.integers(1, 6)) + 1):
        start = data.draw(st.integers(0, 300))
        seen[person] = list(accumulate(data.draw(steps), initial=start))
        track = make_track(np.full(len(seen[person]), CERTAIN), person=person, every=every)
        track.frames[:] = seen[person]
        track.times[:] = track.frames / 25
        tracks.append(track)
    overlay = Overlay(make_report(*tracks, maps=flat(*[1] * 10), every=every))
    frames = {f + d for frames in seen.values() for f in frames for d in (-1, 0, 1)}
    for frame in frames | set(range(0, 400, 16)):
        shown = overlay.marks(frame)
        assert [mark.person for mark in shown] == [
            person for person, frames in seen.items() if is_visible(frames, frame, every)
        ]
        for mark in shown:
            alone = overlay.mark(mark.person - 1, frame)
            assert alone is not None
            assert (mark.box, mark.score) == (alone.box, alone.score)


def test_drawing_a_frame_looks_at_few_of_the_tracks_of_a_long_video() -> None:
    class CountingOverlay(Overlay):
        looked_at = 0

        def _position(self, track: Track, frame: int) -> float | None:
            self.looked_at += 1
            return super()._position(track, frame)

    rows = np.arange(25)
    stays = make_track(np.full(25 * 300, CERTAIN), person=301, heatmaps=np.zeros(25 * 300))
    tracks = [
        make_track(np.full(25, CERTAIN), person=n + 1, first=25 * n, heatmaps=rows)
        for n in range(300)
    ]
    overlay = CountingOverlay(make_report(*tracks, stays, maps=flat(*[1] * 25)))
    for frame in range(0, 25 * 300, 7):
        overlay.looked_at = 0
        assert len(overlay.marks(frame)) == 2
        assert overlay.looked_at <= 6


def test_an_empty_report_shows_nobody() -> None:
    assert Overlay(make_report(maps=flat(1))).marks(0) == []


def test_smoothing_does_not_change_constant_values() -> None:
    maps = np.tile(np.random.default_rng(0).normal(0, 1, (8, 8)), (30, 1, 1))
    report = judged(make_report(make_track(np.full(30, 1.5), peaks=1), maps=maps))
    raw, smooth = Overlay(report, smooth=False), Overlay(report, smooth=True)
    for frame in (0, 1, 15, 29):
        before, after = only(raw.marks(frame)), only(smooth.marks(frame))
        np.testing.assert_allclose(after.strength, before.strength, atol=1e-5)
        assert after.score == pytest.approx(before.score) == pytest.approx(1 / (1 + np.exp(-1.5)))


def test_smoothing_averages_flicker() -> None:
    levels, logits = np.tile([0.0, 1.0], 25), np.tile([-3.0, 3.0], 25)
    raw = Overlay(one_person(levels, logits), smooth=False)
    smooth = Overlay(one_person(levels, logits), smooth=True)
    frames = range(10, 40)
    full = level(only(raw.marks(11)))
    np.testing.assert_allclose(
        [level(only(raw.marks(k))) for k in frames], [full * (k % 2) for k in frames]
    )
    np.testing.assert_allclose(
        [level(only(smooth.marks(k))) for k in frames], 0.5 * full, atol=0.05
    )
    np.testing.assert_allclose([only(smooth.marks(k)).score for k in frames], 0.5, atol=0.05)


def test_smoothing_weights_are_a_gaussian_of_a_tenth_of_a_second() -> None:
    levels = np.zeros(51)
    levels[25] = 1
    report = one_person(levels)
    drawn = np.array([level(only(Overlay(report).marks(k))) for k in range(51)])
    offset = (np.arange(51) - 25) / 25
    weights = np.exp(-0.5 * (offset / 0.1) ** 2)
    weights[np.abs(offset) > 0.25] = 0
    np.testing.assert_allclose(drawn / drawn.sum(), weights / weights.sum(), atol=1e-4)


def test_smoothing_does_not_mix_persons() -> None:
    calm = make_track(np.full(20, CERTAIN), person=1, peaks=1, heatmaps=np.arange(20))
    other = make_track(np.full(20, -CERTAIN), person=2, peaks=1, heatmaps=np.arange(20, 40))
    overlay = Overlay(make_report(calm, other, maps=flat(*[1] * 20, *[-1] * 20)))
    first, second = overlay.marks(10)
    assert (level(first), level(second)) == (pytest.approx(1), pytest.approx(-1))


def test_a_mark_has_the_verdict_on_the_whole_video_and_the_boxes() -> None:
    track = make_track(np.full(50, CERTAIN))
    track.areas[:] = (30, 10, 90, 70)
    report = make_report(track, maps=flat(*[1] * 50))
    mark = only(Overlay(report).marks(7))
    assert mark.verdict == report.findings[0].verdict == "likely fake"
    assert (mark.box, mark.area) == (Box(40, 20, 80, 70), Box(30, 10, 90, 70))


def test_a_mark_has_the_trust_mark_of_the_persons_heatmaps() -> None:
    report = one_person([1, 1, 1])
    assert only(Overlay(report).marks(1)).trust is None
    faithful = Faithfulness(TrustMark.CHANCE, "features", 0, 0, 0.5, 0, None, None, 3, None)
    measured = Assessment(faithful, Robustness((0, 1), {}, 3), None, None, None, (), ())
    findings = tuple(replace(finding, assessment=measured) for finding in report.findings)
    assert only(Overlay(replace(report, findings=findings)).marks(1)).trust is TrustMark.CHANCE
