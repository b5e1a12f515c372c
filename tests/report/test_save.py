"""Saving a report: complete, correct, and all or nothing."""

import dataclasses
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from fakelens.errors import MediaError, OutputError
from fakelens.faces.crops import extract_crop
from fakelens.media.reader import open_video
from fakelens.records.faces import Box
from fakelens.records.report import Report
from fakelens.render.style import Style
from fakelens.report.document import read_report
from fakelens.report.portraits import Portraits, show_frames
from fakelens.report.save import save_drawings, save_report
from support.report_files import DRAWINGS, FILES, FRAMES, KEYFRAMES, contents, files, general
from support.toys import (
    FAKE,
    REAL,
    WIDTH,
    Actor,
    analyzed,
    count_frames,
    draw_scene,
    photograph,
)


def test_all_files_are_there_and_nothing_else(report: Report, tmp_path: Path) -> None:
    paths = save_report(report, tmp_path / "new" / "out")
    assert files(tmp_path) == {f"new/out/{name}" for name in FILES}
    names = {path.relative_to(tmp_path / "new" / "out").as_posix() for path in paths}
    assert {general(name) for name in names} == FILES
    assert names == set(contents(tmp_path / "new" / "out"))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out"]


def test_the_annotated_video_is_the_input_with_the_faces_marked(saved: Path, clip: Path) -> None:
    assert count_frames(saved / "annotated.mp4") == FRAMES
    with open_video(saved / "annotated.mp4") as drawn, open_video(clip) as plain:
        for found, wanted in zip(drawn.frames(), plain.frames(), strict=True):
            assert found.time == wanted.time
            difference = np.abs(found.image.astype(int) - wanted.image).mean(axis=2)
            box = FAKE.box(found.index)
            assert box is not None
            face = difference[80:110, int(box.x1) + 15 : int(box.x2) - 15]
            assert face.mean() > 20, "the heatmap"
            assert difference[135:, 215:].mean() < 8, "only compression"


@pytest.mark.parametrize(("person", "actor"), [(1, FAKE), (2, REAL)])
def test_a_portrait_shows_the_face_without_and_with_its_heatmap(
    saved: Path, person: int, actor: Actor
) -> None:
    image = cv2.imread(str(saved / f"faces/person-{person}.png"))
    assert image.shape == (320, 640, 3)
    untouched, drawn = image[:, :320, ::-1].astype(int), image[:, 320:, ::-1].astype(int)
    np.testing.assert_allclose(untouched[110:210, 110:210].mean(axis=(0, 1)), actor.colour, atol=8)
    heat = np.abs(drawn - untouched).mean()
    assert (heat > 10) == (actor is FAKE), "by default only evidence for fake is drawn"


def test_a_portrait_is_taken_at_the_key_frame_of_its_person(
    report: Report, clip: Path, tmp_path: Path
) -> None:
    keys = (20, 5)
    findings = [
        dataclasses.replace(finding, key_frame=key)
        for finding, key in zip(report.findings, keys, strict=True)
    ]
    changed = dataclasses.replace(report, findings=tuple(findings))
    show_frames(changed, [Portraits(changed, tmp_path / "faces", Style())])
    with open_video(clip) as reader:
        images = [frame.image for frame in reader.frames()]
    for person, track, key in zip((1, 2), report.tracks, keys, strict=True):
        (x, y), half = track[key].area.center, 1.25 * track[key].area.width / 2
        wanted = extract_crop(images[key], Box(x - half, y - half, x + half, y + half), 320)
        image = cv2.imread(str(tmp_path / "faces" / f"person-{person}.png"))
        np.testing.assert_array_equal(image[:, :320, ::-1], wanted)


def test_the_video_can_be_left_out(report: Report, tmp_path: Path) -> None:
    save_report(report, tmp_path / "out", video=False)
    assert files(tmp_path / "out") == FILES - {"annotated.mp4", "untouched.mp4"}


def test_a_report_without_people_has_no_drawings(clip: Path, tmp_path: Path) -> None:
    save_report(analyzed(clip), tmp_path / "out")
    assert files(tmp_path / "out") == FILES - DRAWINGS - KEYFRAMES


def test_a_still_picture_is_drawn_as_a_picture(tmp_path: Path) -> None:
    image = draw_scene(0, (FAKE, REAL))
    path = photograph(tmp_path / "in.png", image)
    save_report(analyzed(path, FAKE, REAL), tmp_path / "out", style=Style(side_by_side=True))
    videos = {"annotated.mp4", "untouched.mp4"}
    assert files(tmp_path / "out") == FILES - videos - KEYFRAMES | {"annotated.png"}
    drawn = cv2.imread(str(tmp_path / "out" / "annotated.png"))[:, :, ::-1]
    np.testing.assert_array_equal(drawn[:, :WIDTH], image)
    assert np.abs(drawn[80:110, WIDTH + 30 : WIDTH + 60].astype(int) - image[80:110, 30:60]).min()
    np.testing.assert_array_equal(drawn[130:, WIDTH:], image[130:])


def test_progress_is_reported_while_drawing(report: Report, tmp_path: Path) -> None:
    calls: list[tuple[int, int | None]] = []
    save_report(report, tmp_path / "out", progress=lambda *call: calls.append(call))
    assert calls == [(frame + 1, FRAMES) for frame in range(FRAMES)]


def test_a_report_is_not_overwritten_without_force(saved: Path, report: Report) -> None:
    before = contents(saved)
    for save in (save_report, lambda *a: save_drawings(*a, style=Style())):
        with pytest.raises(OutputError, match=r"already contains .*; use --force to overwrite it"):
            save(report, saved)
    assert contents(saved) == before


def test_force_overwrites_a_report_and_keeps_all_other_files(
    report: Report, clip: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    save_report(report, folder)
    others = {"notes.txt": b"mine", "faces/me.png": b"me", "sub/report.json": b"{}"}
    for name, content in others.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "keyframes" / "frame-99.png").write_bytes(b"of the earlier report")
    save_report(analyzed(clip, FAKE), folder, force=True, video=False)
    stale = {"annotated.mp4", "untouched.mp4", "faces/person-2.png"}
    assert files(folder) == FILES - stale | set(others)
    assert contents(folder).items() >= others.items()
    assert not (folder / "keyframes" / "frame-99.png").exists()
    assert len(read_report(folder / "report.json").tracks) == 1


def test_force_leaves_no_empty_folder_behind(report: Report, clip: Path, tmp_path: Path) -> None:
    save_report(report, tmp_path / "out")
    save_report(analyzed(clip), tmp_path / "out", force=True)
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES - DRAWINGS - KEYFRAMES


class DrawingError(Exception):
    pass


def fail_at_frame_9(done: int, total: int | None) -> None:
    if done == 9:
        raise DrawingError


def test_an_error_while_drawing_leaves_no_files(report: Report, tmp_path: Path) -> None:
    with pytest.raises(DrawingError):
        save_report(report, tmp_path / "new" / "out", progress=fail_at_frame_9)
    assert list(tmp_path.iterdir()) == []


def test_an_error_while_drawing_leaves_an_earlier_report_unchanged(
    report: Report, tmp_path: Path
) -> None:
    save_report(report, tmp_path / "out")
    before = contents(tmp_path)
    with pytest.raises(DrawingError):
        save_report(report, tmp_path / "out", force=True, progress=fail_at_frame_9)
    assert contents(tmp_path) == before


def test_a_missing_video_cannot_be_drawn_again(report: Report, tmp_path: Path) -> None:
    lost = dataclasses.replace(report, source=tmp_path / "lost.mp4")
    with pytest.raises(MediaError, match=r"lost\.mp4: .* --video"):
        save_drawings(lost, tmp_path / "out", style=Style())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file_is_refused(report: Report, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputError, match="out: is a file; choose a folder"):
        save_report(report, tmp_path / "out", force=True)
    assert (tmp_path / "out").read_text() == "mine"


def test_a_folder_inside_a_file_is_refused(report: Report, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="file: is a file; choose a folder"):
        save_report(report, tmp_path / "file" / "out")
    assert contents(tmp_path) == {"file": b"mine"}


def test_only_the_output_folder_needs_to_be_writable(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when it is a volume mounted into a read-only file system."""
    folder = tmp_path / "out"
    folder.mkdir()
    original = Path.replace

    def replace(source: Path, target: Path) -> Path:
        assert source.is_relative_to(folder), "moved from another disk"
        return original(source, target)

    monkeypatch.setattr(Path, "replace", replace)
    save_report(report, folder, video=False)
    assert files(folder) == FILES - {"annotated.mp4", "untouched.mp4"}


@pytest.mark.parametrize("name", ["annotated.mp4", "untouched.mp4", "report.json"])
def test_the_input_is_never_overwritten(name: str, clip: Path, tmp_path: Path) -> None:
    """The input can be the annotated video of an earlier run."""
    path = Path(shutil.copy(clip, tmp_path / name))
    report = analyzed(path, FAKE)
    for save in (save_report, lambda *a, **k: save_drawings(*a, style=Style(), **k)):
        if save is save_report or name == "annotated.mp4":
            with pytest.raises(OutputError, match="is the input"):
                save(report, tmp_path, force=True)
    assert contents(tmp_path) == {name: clip.read_bytes()}


def test_an_input_among_the_portraits_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "faces" / "person-1.png"
    path.parent.mkdir()
    photograph(path, draw_scene(0, (FAKE,)))
    before = contents(tmp_path)
    with pytest.raises(OutputError, match="is the input"):
        save_report(analyzed(path, FAKE), tmp_path, force=True)
    assert contents(tmp_path) == before
