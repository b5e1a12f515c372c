"""The content of ``report.html``, without a browser; see ``tests/browser`` for its scripts."""

import base64
import dataclasses
import hashlib
import os
import re
import shutil
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from fakelens.media.images import encode_jpeg
from fakelens.records.arrays import sigmoid
from fakelens.records.media import Damage
from fakelens.records.report import Report
from fakelens.records.trust import Assessment
from fakelens.render.style import Style
from fakelens.report.page import write_page
from fakelens.report.page_files import PageFiles
from fakelens.report.save import save_report
from support.builders import INFO, make_report, make_track
from support.media import make_clip
from support.pages import Page
from support.report_files import FRAMES
from support.toys import FAKE, analyzed

MAX_BYTES = 3_000_000  # of a page


def written(report: Report, folder: Path, style: Style | None = None, **more: object) -> str:
    write_page(report, folder, style or Style(), PageFiles(**more))  # type: ignore[arg-type]
    return (folder / "report.html").read_text(encoding="utf-8")


def read(folder: Path) -> Page:
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def curves(html: str) -> list[list[list[tuple[float, float]]]]:
    """Return the points of each lane's curve, by stretch without a gap."""
    return [
        [[tuple(map(float, point.split(","))) for point in part.split("L")] for part in path]
        for path in (
            found.split("M")[1:] for found in re.findall(r'class="curve \w+" d="([^"]*)"', html)
        )
    ]


def test_the_page_names_every_person_and_their_verdict(saved: Path, report: Report) -> None:
    page = read(saved)
    for finding in report.findings:
        assert not finding.seen_well
        assert f"Person {finding.person}: not judged" in page.text
        for reason in finding.reasons:
            assert reason in page.text
    assert page.tags.count("article") == 2
    assert report.provenance.input_sha256 in page.text
    assert "evidence, not proof" in page.text
    assert "Nobody in this video is seen well enough to be judged." in page.text


def test_the_page_links_only_to_files_of_the_report(saved: Path) -> None:
    page = read(saved)
    links = [link for link in page.links if not link.startswith(("data:", "#"))]
    keyframes = {link for link in links if link.startswith("keyframes/")}
    assert len(keyframes) == 3
    assert set(links) - keyframes == {"annotated.mp4", "untouched.mp4", "scores.csv", "report.json"}
    assert all((saved / link).is_file() for link in links)
    html = (saved / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org)[^ ]*\.(js|css|woff)", html)


def test_the_policy_allows_only_the_scripts_and_styles_of_the_page(saved: Path) -> None:
    html = (saved / "report.html").read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    rules = dict(rule.split(" ", 1) for rule in policy[1].replace("&#39;", "'").split("; "))
    assert rules["default-src"] == "'none'"
    for kind, elements in (
        ("script", r"<script>(.*?)</script>"),
        ("style", r"<style>(.*?)</style>"),
    ):
        digests = {
            f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
            for text in re.findall(elements, html, re.DOTALL)
        }
        assert set(rules[f"{kind}-src"].split()) == digests
    assert not [name for name, _ in read(saved).attributes if name.startswith("on")]
    assert "style" not in dict(read(saved).attributes)


def test_the_video_of_the_page_is_an_exact_copy_of_the_input(saved: Path, clip: Path) -> None:
    assert (saved / "untouched.mp4").read_bytes() == clip.read_bytes()
    assert "untouched.mp4, an exact copy of the input" in read(saved).text


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "sounds"),
    [
        ("in.avi", "mpeg4", "yuv420p", ()),
        ("in.mkv", "libx264", "yuv420p", ()),
        ("in.mp4", "libx264", "yuv444p", ()),
        ("in.mp4", "mpeg4", "yuv420p", ()),
        ("in.mov", "libx264", "yuv420p", ("pcm_s16le",)),
    ],
)
def test_a_video_that_browsers_cannot_play_is_re_encoded(
    name: str, codec: str, pixels: str, sounds: tuple[str, ...], tmp_path: Path
) -> None:
    path = make_clip(
        tmp_path / name, frames=8, size=(240, 144), codec=codec, pixel_format=pixels, sounds=sounds
    )
    save_report(analyzed(path, FAKE), tmp_path / "out")
    assert (tmp_path / "out" / "untouched.mp4").read_bytes() != path.read_bytes()
    assert "re-encoded: browsers do not show the input as examined" in read(tmp_path / "out").text


def test_a_webm_video_is_copied_as_it_is(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "in.webm", frames=8, size=(240, 144), codec="libvpx-vp9")
    save_report(analyzed(path, FAKE), tmp_path / "out")
    assert (tmp_path / "out" / "untouched.webm").read_bytes() == path.read_bytes()


def test_without_videos_the_page_plays_the_input_where_it_is(
    clip: Path, report: Report, tmp_path: Path
) -> None:
    moved = Path(shutil.copy(clip, tmp_path / "with spaces & more.mp4"))
    save_report(dataclasses.replace(report, source=moved), tmp_path / "out", video=False)
    page = read(tmp_path / "out")
    assert "../with%20spaces%20%26%20more.mp4" in page.links
    assert "../with%20spaces%20%26%20more.mp4, the input itself" in page.text


def test_the_page_escapes_the_file_name(clip: Path, tmp_path: Path) -> None:
    name = "<b onload=alert(1)>&'\" <!-- .mp4"
    path = Path(shutil.copy(clip, tmp_path / name))
    save_report(analyzed(path, FAKE), tmp_path / "out", video=False)
    page = read(tmp_path / "out")
    assert "b" not in page.tags
    assert name in page.text


def test_a_file_name_that_is_not_unicode_can_be_shown(clip: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(clip, tmp_path / os.fsdecode(b"bad\xff.mp4")))
    save_report(analyzed(path, FAKE), tmp_path / "out", video=False)
    page = read(tmp_path / "out")
    assert "bad\\udcff.mp4" in page.text
    assert "../bad%FF.mp4" in page.links


def test_changes_in_the_annotated_video_are_listed_beside_its_link(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "in.mp4", frames=8, size=(240, 144), rotation=90)
    save_report(analyzed(path, FAKE), tmp_path / "out")
    words = read(tmp_path / "out").text
    assert "the annotated video (The frames were rotated upright.)" in words.replace(" (", " (")
    assert words.count("rotated upright") == 1


def test_the_page_says_when_no_face_was_found(clip: Path, tmp_path: Path) -> None:
    save_report(analyzed(clip), tmp_path / "out")
    words = read(tmp_path / "out").text
    assert "No face was found" in words
    assert f"{FRAMES} frames were searched with scripted" in words
    assert "nothing can be said about this video" in words


def test_the_page_draws_the_score_over_time(saved: Path, report: Report) -> None:
    drawn = curves((saved / "report.html").read_text(encoding="utf-8"))
    for (curve,), track in zip(drawn, report.tracks, strict=True):
        points = np.array(curve)
        duration = float(report.video.duration or 0)
        np.testing.assert_allclose(points[:, 0], 1000 * track.times / duration, atol=0.1)
        np.testing.assert_allclose(points[:, 1], 100 - 100 * sigmoid(track.logits), atol=0.1)


def test_many_curves_are_drawn_with_fewer_points(tmp_path: Path) -> None:
    tracks = [make_track(np.sin(np.arange(700)), person=n + 1) for n in range(30)]
    drawn = curves(written(make_report(*tracks, maps=np.ones((700, 2, 2))), tmp_path))
    assert len(drawn) == 30
    assert max(len(stretch) for curve in drawn for stretch in curve) <= 200


def test_the_curve_has_a_gap_where_nobody_was_seen(tmp_path: Path) -> None:
    track = make_track(np.ones(60), drift=0)
    gone = dataclasses.replace(
        track, frames=np.where(np.arange(60) < 30, track.frames, track.frames + 30)
    )
    gone = dataclasses.replace(gone, times=gone.frames / 25)
    ((first, second),) = curves(written(make_report(gone, maps=np.ones((60, 4, 4))), tmp_path))
    assert first[-1][0] == pytest.approx(1000 * 29 / 25 / 4, abs=0.1)
    assert second[0][0] == pytest.approx(1000 * 60 / 25 / 4, abs=0.1)


def test_the_curve_of_a_long_video_has_few_points_and_shows_extremes(tmp_path: Path) -> None:
    logits = np.sin(np.arange(6000) / 500)
    logits[3777] = 9
    report = make_report(make_track(logits, heatmaps=np.zeros(6000)), maps=np.ones((1, 4, 4)))
    html = written(report, tmp_path)
    ((curve,),) = curves(html)
    assert len(curve) <= 600
    (cloud,) = re.findall(r'class="cloud \w+" d="M([^"]*)Z"', html)
    heights = [float(point.split(",")[1]) for point in cloud.split("L")]
    assert min(heights) == pytest.approx(100 - 100 * float(sigmoid(9.0)), abs=0.1)


def test_the_page_counts_time_from_the_first_frame(tmp_path: Path) -> None:
    """As in a recorded broadcast, whose first timestamp can be any."""
    late = dataclasses.replace(INFO, start=Fraction(1000))
    track = make_track(np.ones(100), first=25_000)
    html = written(make_report(track, maps=np.ones((100, 4, 4)), info=late), tmp_path)
    ((curve,),) = curves(html)
    assert curve[0][0] == pytest.approx(0, abs=0.1)
    assert curve[-1][0] == pytest.approx(1000 * 99 / 100, abs=0.1)
    assert "Seen from 0:00.0 to 0:04.0" in Page(html).text


@pytest.mark.parametrize(
    ("cam", "words"),
    [
        ("hirescam", "Warm colours mark evidence for fake, blue ones evidence for real"),
        ("tf2cam", "The heatmap marks evidence for real"),
        ("eigencam", "what the layer responds to most, for fake or for real"),
    ],
)
def test_the_page_explains_the_colours(cam: str, words: str, tmp_path: Path) -> None:
    report = make_report(make_track(np.ones(30)), maps=np.ones((30, 4, 4)), cam=cam)
    page = Page(written(report, tmp_path, video="untouched.mp4"))
    assert words in page.text
    assert (("name", "evidence") in page.attributes) == (cam == "hirescam")


def test_the_page_says_what_was_not_examined(tmp_path: Path) -> None:
    tiny = make_track(np.ones(30), person=2, quality_flags=1)
    report = make_report(make_track(np.ones(30)), tiny, maps=np.ones((30, 4, 4)), every=2)
    report = dataclasses.replace(report, damage=(Damage(Fraction(61), "a hole"),))
    words = Page(written(report, tmp_path)).text.partition("Not examined")[2]
    assert "person 2, 0:00.0 to 0:01.2: " in words
    assert report.findings[1].reasons[0] in words
    assert "at 1:01.0: a hole" in words
    assert "only one in 2 frames was examined" in words
    assert "the sound" in words


def test_people_who_are_not_judged_for_the_same_reason_share_a_line(tmp_path: Path) -> None:
    tiny = [make_track(np.ones(30), person=number, quality_flags=1) for number in (2, 3, 4)]
    report = make_report(make_track(np.ones(30)), *tiny, maps=np.ones((30, 4, 4)))
    words = Page(written(report, tmp_path)).text.partition("Not examined")[2]
    assert words.count(report.findings[1].reasons[0]) == 1
    assert "3 people (2, 3, 4): " in words


def crowd(people: int, frames: int, cells: int, rng: np.random.Generator) -> Report:
    """Return a report on many people, with heatmaps that compress badly."""
    maps = rng.normal(size=(500, cells, cells))
    tracks = [
        make_track(
            rng.normal(size=frames), person=number + 1, heatmaps=rng.integers(0, 500, frames)
        )
        for number in range(people)
    ]
    report = make_report(*tracks, maps=maps)
    strongest = Assessment(None, None, None, None, None, (0, 10, 20, 30, 35), ())
    findings = tuple(dataclasses.replace(f, assessment=strongest) for f in report.findings)
    return dataclasses.replace(report, findings=findings)


@pytest.mark.slow
@pytest.mark.parametrize(("people", "frames"), [(2, 3000), (150, 40), (50, 160)])
def test_a_page_stays_small(people: int, frames: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    grain = rng.normal(128, 60, (320, 320, 3)).astype(np.float32)
    blurred = cv2.GaussianBlur(grain, (0, 0), 1.5) * 3 - 256
    noise = encode_jpeg(np.clip(blurred, 0, 255).astype(np.uint8))
    report = crowd(people, frames, 14, rng)
    faces = {
        number: dict.fromkeys((finding.key_frame, 0, 10, 20, 30, 35), noise)
        for number, finding in enumerate(report.findings)
    }
    html = written(report, tmp_path, video="untouched.mp4", faces=faces)
    assert len(html.encode()) < MAX_BYTES
    for finding in report.findings:  # also people without a card are listed
        assert re.search(rf"Person {finding.person}\b", html), finding.person
