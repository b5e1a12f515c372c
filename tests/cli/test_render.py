"""``fakelens render``: drawing a saved report again."""

import shutil
from pathlib import Path

import av

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
    assert "no longer there" in one_sentence(run("render", report))
    assert "SHA-256" in one_sentence(run("render", report, "--video", faceless))
    assert run("render", report, "--video", clip, "--contour").exit_code == 0
