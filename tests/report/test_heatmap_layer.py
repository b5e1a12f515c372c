"""The layer in the page contains what the annotated video shows, read by a separate decoder."""

import base64
import dataclasses
import zlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fakelens.explain.heatmaps import smooth_heatmap
from fakelens.records.report import Report
from fakelens.records.tracks import Track
from fakelens.records.trust import SpecificityMark
from fakelens.render.overlay import Overlay
from fakelens.render.style import Style
from fakelens.report import heatmap_layer as layers
from fakelens.report.heatmap_layer import LEVELS, TICKS, Layer, pack
from support.builders import make_report, make_track
from support.comparing import compared, specificity

Columns = dict[str, NDArray[Any]]


def decode(layer: Layer) -> list[Columns]:
    """Decode a layer as described in the docstring of ``pack``."""
    data = zlib.decompress(base64.b64decode(layer.data))
    place = 0

    def take(kind: str, count: int) -> NDArray[Any]:
        nonlocal place
        column = np.frombuffer(data, kind, count, place)
        place += column.nbytes
        return column

    def summed(kind: str, count: int) -> NDArray[Any]:
        return np.cumsum(take(kind, count), dtype=kind)

    step = layer.facts["step"]
    height, width = layer.facts["cells"]
    people = []
    for person in layer.facts["persons"]:
        rows = person["rows"]
        columns = {
            "time": summed("<i4", rows) / TICKS,
            "frame": summed("<i4", rows),
            "box": np.stack([summed("<i2", rows) for _ in range(4)], axis=1) * step,
            "area": np.stack([summed("<i2", rows) for _ in range(3)], axis=1) * step,
            "score": take("u1", rows) / 255,
            "smoothed": take("u1", rows) / 255,
            "flags": take("u1", rows),
        }
        maps = take("i1", person["maps"] * height * width).reshape(-1, height, width)
        columns["maps"] = np.cumsum(maps, axis=0, dtype=np.int8) / LEVELS
        if person["baseline"]:
            baseline = take("<i2", height * width).reshape(height, width)
            columns["baseline"] = baseline / LEVELS
        people.append(columns)
    assert place == len(data)
    return people


@pytest.fixture
def report() -> Report:
    rng = np.random.default_rng(1)
    maps = rng.normal(size=(150, 6, 6)).astype(np.float32)
    walker = make_track(
        rng.normal(size=90), drift=1.5, peaks=1, quality_flags=np.arange(90) % 3 == 0
    )
    leaver = make_track(rng.normal(size=60), person=2, box=(-20.5, 30, 15.25, 80), peaks=1)
    away = np.arange(60) >= 25
    leaver = dataclasses.replace(
        leaver,
        frames=leaver.frames + 30 * away,
        times=(leaver.frames + 30 * away) / 25,
        heatmaps=np.arange(90, 150),
    )
    return make_report(walker, leaver, maps=maps)


def test_the_layer_contains_every_face_as_it_is_drawn(report: Report) -> None:
    layer = pack(report, Style())
    overlay = Overlay(report)
    for number, (columns, track) in enumerate(zip(decode(layer), report.tracks, strict=True)):
        np.testing.assert_array_equal(columns["frame"], track.frames)
        np.testing.assert_allclose(columns["time"], track.times, atol=0.6 / TICKS)
        marks = [overlay.mark(number, int(frame)) for frame in track.frames]
        assert all(marks)
        for row, mark in enumerate(mark for mark in marks if mark):
            box = (mark.box.x1, mark.box.y1, mark.box.x2, mark.box.y2)
            np.testing.assert_allclose(columns["box"][row], box, atol=0.02)
            area = (mark.area.x1, mark.area.y1, mark.area.width)
            np.testing.assert_allclose(columns["area"][row], area, atol=0.02)
            np.testing.assert_allclose(columns["maps"][row], mark.strength, atol=0.51 / LEVELS)
            assert columns["smoothed"][row] == pytest.approx(mark.score, abs=0.003)
            assert columns["score"][row] == pytest.approx(track[row].score, abs=0.003)
        np.testing.assert_array_equal(columns["flags"] & 1, track.usable)


def test_nothing_is_interpolated_across_a_gap(report: Report) -> None:
    _, leaver = decode(pack(report, Style()))
    joined = leaver["flags"] & 2 > 0
    assert list(np.flatnonzero(~joined)) == [24, 59]


def test_of_a_long_video_evenly_spaced_rows_and_the_ends_are_kept(
    report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers, "MAX_ROWS", 60)
    layer = pack(report, Style())
    for columns, track in zip(decode(layer), report.tracks, strict=True):
        assert set(columns["frame"]) <= set(track.frames)
        assert columns["frame"][0] == track.frames[0]
        assert columns["frame"][-1] == track.frames[-1]
        joined = columns["flags"][:-1] & 2 > 0
        assert np.diff(columns["frame"])[joined].max() == 3
    assert layer.maps_per_second == pytest.approx(25 / 3)


def test_heatmaps_are_dropped_evenly_until_the_layer_fits(
    report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = pack(report, Style())
    monkeypatch.setattr(layers, "MAX_BYTES", len(whole.data) // 3)
    layer = pack(report, Style())
    assert len(layer.data) <= len(whole.data) // 3
    assert layer.maps_per_second < 13
    for full, columns in zip(decode(whole), decode(layer), strict=True):
        np.testing.assert_array_equal(columns["frame"], full["frame"])
        mapped = np.flatnonzero(columns["flags"] & 4)
        assert len(np.unique(np.diff(mapped))) == 1, "evenly"
        np.testing.assert_array_equal(columns["maps"], full["maps"][mapped])


def test_of_very_many_short_tracks_the_most_suspicious_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in a film with many shots: the tracks are too short to drop rows."""
    monkeypatch.setattr(layers, "MAX_BYTES", 20_000)
    monkeypatch.setattr(layers, "MAX_ROWS", 500)
    rng = np.random.default_rng(4)
    tracks = [
        make_track(rng.normal(size=2), person=number + 1, first=3 * number, heatmaps=(0, 1))
        for number in range(900)
    ]
    report = make_report(*tracks, maps=rng.normal(size=(2, 14, 14)))
    layer = pack(report, Style())
    assert len(layer.data) <= 20_000
    kept = {person["person"] for person in layer.facts["persons"]}
    assert len(kept) == 500
    assert layer.omitted == 400
    scores = {finding.person: finding.score or -1 for finding in report.findings}
    assert min(scores[person] for person in kept) >= max(
        score for person, score in scores.items() if person not in kept
    )


def test_a_person_who_cannot_be_judged_has_no_score() -> None:
    report = make_report(make_track(np.ones(30), quality_flags=1), maps=np.ones((30, 4, 4)))
    layer = pack(report, Style())
    assert [person["judged"] for person in layer.facts["persons"]] == [False]
    assert not decode(layer)[0]["smoothed"].any()


def test_fine_heatmaps_are_averaged() -> None:
    maps = np.kron(np.random.default_rng(2).normal(size=(20, 14, 14)), np.ones((4, 4)))
    track: Track = make_track(np.ones(20))
    report = make_report(track, maps=maps)
    layer = pack(report, Style(smooth=False))
    assert tuple(layer.facts["cells"]) == (28, 28)
    (columns,) = decode(layer)
    mark = Overlay(report, smooth=False).mark(0, 7)
    assert mark is not None
    mean = mark.strength.reshape(28, 2, 28, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(columns["maps"][7], mean, atol=0.51 / LEVELS)


BASELINE = np.random.default_rng(6).normal(0, 1, (6, 6))


def test_of_a_compared_person_the_layer_contains_differences_and_the_baseline(
    report: Report,
) -> None:
    """Page and video must show the same, with the baseline subtracted and with it."""
    found = compared(report, specificity(BASELINE), None)
    layer = pack(found, Style())
    assert [person["baseline"] for person in layer.facts["persons"]] == [True, False]
    whole_of = layer.facts["whole"]
    for number, columns in enumerate(decode(layer)):
        assert ("baseline" in columns) == (number == 0)
        for row, frame in enumerate(columns["frame"]):
            shown = columns["maps"][row]
            mark = Overlay(found).mark(number, int(frame))
            assert mark is not None
            np.testing.assert_allclose(shown.clip(-1, 1), mark.strength, atol=0.51 / LEVELS)
            whole = (shown + columns.get("baseline", 0)) * whole_of
            kept = Overlay(found, baseline="keep").mark(number, int(frame))
            assert kept is not None
            inexact = 1.1 / LEVELS * whole_of
            np.testing.assert_allclose(whole.clip(-1, 1), kept.strength, atol=inexact)


def test_a_stronger_difference_than_full_strength_is_kept_for_the_whole_heatmap() -> None:
    """On the scale of whole heatmaps it is below full strength."""
    baseline, spot = np.zeros((6, 6)), np.zeros((6, 6))
    baseline[4:, :], spot[1, 2:4] = 3, 1
    maps = np.tile(baseline + spot, (40, 1, 1))
    maps[7] += 0.9 * spot
    peaks = [np.abs(smooth_heatmap(one.astype(np.float32))).max() for one in maps]
    report = make_report(make_track(np.full(40, 8.0), peaks=peaks), maps=maps)
    layer = pack(compared(report, specificity(baseline)), Style(smooth=False))
    (columns,) = decode(layer)
    whole = (columns["maps"][7] + columns["baseline"]) * layer.facts["whole"]
    kept = Overlay(report, smooth=False).mark(0, 7)
    assert kept is not None
    np.testing.assert_allclose(whole.clip(-1, 1), kept.strength, atol=1 / LEVELS)


def test_a_layer_without_comparison_is_as_before(report: Report) -> None:
    plain = pack(report, Style())
    assert plain.facts["whole"] == 1
    assert not any(person["baseline"] for person in plain.facts["persons"])
    assert pack(report, Style(baseline="keep")).data == plain.data
    np.testing.assert_array_equal([np.abs(one["maps"]).max() for one in decode(plain)], [1, 1])


def test_the_layer_tells_which_heatmaps_are_faded(report: Report) -> None:
    usual = specificity(BASELINE, SpecificityMark.USUAL)
    layer = pack(compared(report, usual, specificity(BASELINE)), Style())
    assert [person["opacity"] for person in layer.facts["persons"]] == [0.4, 1]
    assert [person["opacity"] for person in pack(report, Style()).facts["persons"]] == [1, 1]


def test_the_baselines_of_many_people_count_for_the_size_of_the_layer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(4)
    tracks = [make_track(rng.normal(size=20), person=n + 1, heatmaps=[0] * 20) for n in range(50)]
    report = make_report(*tracks, maps=rng.normal(size=(1, 14, 14)))
    found = compared(report, *(specificity(rng.normal(size=(14, 14))) for _ in tracks))
    monkeypatch.setattr(layers, "MAX_BYTES", 60_000)
    layer = pack(found, Style())
    assert len(layer.data) <= 60_000
    assert len(decode(layer)) == 50


def test_an_undecided_model_has_a_layer_without_heatmaps() -> None:
    """The scale is infinite, with and without the baseline."""
    report = make_report(make_track(np.zeros(30)), maps=np.ones((30, 6, 6)))
    layer = pack(compared(report, specificity(BASELINE)), Style())
    (columns,) = decode(layer)
    assert layer.facts["whole"] == 1
    assert not columns["maps"].any()
    assert not columns["baseline"].any()
