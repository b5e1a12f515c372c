"""``fakelens render``: drawing a saved report again."""

import json
import shutil
from pathlib import Path

import av
import cv2
import numpy as np

from fakelens.evaluation import demo
from support.commands import one_sentence, run, timestamps


def test_render_draws_again_without_the_model(analyzed: Path, clip: Path) -> None:
    options = ("--colormap", "turbo", "--evidence", "both", "--side-by-side", "--opacity", 0.9)
    result = run("render", analyzed / "report.json", *options)
    assert result.exit_code == 0, result.output
    drawn = analyzed / "rendered" / "annotated.mp4"
    assert timestamps(drawn) == timestamps(clip)
    with av.open(str(drawn)) as container:
        assert container.streams.video[0].width == 2 * demo.WIDTH
    assert "--force" in one_sentence(run("render", analyzed / "report.json"))
    shutil.rmtree(drawn.parent)


def test_render_wants_the_video_it_was_made_from(
    analyzed: Path, clip: Path, faceless: Path, tmp_path: Path
) -> None:
    shutil.copytree(analyzed, tmp_path / "moved" / "far" / "away")
    report = tmp_path / "moved" / "far" / "away" / "report.json"
    (report.parent / "untouched.mp4").write_bytes(b"another video")
    assert "no longer there" in one_sentence(run("render", report))
    assert "--video" in one_sentence(run("render", report))
    wrong = one_sentence(run("render", report, "--video", faceless))
    assert "SHA-256" in wrong
    assert "--video" in wrong
    assert "--video" in one_sentence(run("render", report, "--video", tmp_path / "nothing"))
    assert run("render", report, "--video", clip, "--contour").exit_code == 0


def test_render_draws_whole_heatmaps_on_request(analyzed: Path, clip: Path, tmp_path: Path) -> None:
    """Here genuine faces have the mean heatmap of each person, so there is nothing to draw."""
    shutil.copytree(analyzed, tmp_path / "report")
    path = tmp_path / "report" / "report.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    shape = tuple(content["heatmaps"][side] for side in ("rows", "height", "width"))
    maps = np.fromfile(path.parent / "heatmaps.f16", "<f2").reshape(shape).astype(float)
    for person in content["persons"]:
        person["finding"]["assessment"]["specificity"] = {
            "mark": "specific to this face",
            "similarity": 1,
            "excess": 0,
            "limit": 1,
            "share": None,
            "parts": [],
            "baseline": maps[person["track"]["heatmaps"]].mean(axis=0).tolist(),
            "faces": 3,
        }
    path.write_text(json.dumps(content), encoding="utf-8")
    changes = {}
    for baseline in ("subtract", "keep"):
        folder = tmp_path / baseline
        options = ("--video", clip, "--baseline", baseline)
        result = run("render", path, "-o", folder, *options)
        assert result.exit_code == 0, result.output
        picture = cv2.imread(str(folder / "faces" / "person-2.png")).astype(int)
        before, after = np.split(picture, 2, axis=1)
        changes[baseline] = float((np.abs(before - after) > 30).any(axis=2).mean())
    assert changes["keep"] > 0.2
    assert changes["subtract"] < changes["keep"] / 3
    shown = run("render", path, "-o", tmp_path / "default", "--video", clip)
    assert shown.exit_code == 0
    assert (tmp_path / "default" / "faces" / "person-2.png").read_bytes() == (
        tmp_path / "subtract" / "faces" / "person-2.png"
    ).read_bytes()
    assert run("render", path, "--baseline", "double").exit_code == 2


def test_a_moved_folder_is_drawn_from_the_video_in_it(analyzed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "moved" / "far" / "away"
    shutil.copytree(analyzed, folder)
    result = run("render", folder, "--evidence", "both")
    assert result.exit_code == 0, result.output
    assert timestamps(folder / "rendered" / "annotated.mp4") == timestamps(folder / "untouched.mp4")
    # Another video of the same name may be where the input was.
    report = folder / "report.json"
    content = json.loads(report.read_text(encoding="utf-8"))
    report.write_text(json.dumps(content | {"input_path": "../two.mp4"}), encoding="utf-8")
    (folder.parent / "two.mp4").write_bytes(b"another video")
    assert run("render", report, "-o", tmp_path / "out").exit_code == 0
    assert (tmp_path / "out" / "annotated.mp4").exists()


def test_render_says_what_to_do_with_what_is_no_report(analyzed: Path, tmp_path: Path) -> None:
    assert "give the report.json of an analysis" in one_sentence(run("render", tmp_path))
    damaged = tmp_path / "report.json"
    whole = (analyzed / "report.json").read_bytes()
    for content in (b"", b"\xff", whole[: len(whole) // 2], b"PK"):
        damaged.write_bytes(content)
        result = run("render", tmp_path)
        assert result.exit_code == 1
        assert "give the report.json of an analysis, or analyze the video again" in one_sentence(
            result
        )
    damaged.write_bytes(whole.replace(b'"schema_version":3', b'"schema_version":1'))
    assert "analyze the video again" in one_sentence(run("render", damaged))
    page = one_sentence(run("render", analyzed / "report.html"))
    assert "give the report.json of an analysis" in page
