"""``fakelens analyze`` with several inputs: what is done is skipped, what fails stops no other."""

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

from fakelens.analysis import pipeline
from support.commands import one_sentence, run
from support.media import make_clip
from support.plain_pictures import make_picture


def times(folder: Path) -> dict[Path, int]:
    """Return when the files of results were written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def two_results(portrait: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    for name in ("a.png", "b.png"):
        (folder / name).write_bytes(portrait.read_bytes())
    assert run("analyze", folder / "a.png", folder / "b.png", "--quiet").exit_code == 0
    return folder


@pytest.fixture
def finished(two_results: Path, tmp_path: Path) -> Path:
    """A folder with two inputs that have been analyzed, and their results."""
    return shutil.copytree(two_results, tmp_path, dirs_exist_ok=True)


def test_what_is_done_is_skipped(finished: Path) -> None:
    before = times(finished)
    new = make_picture(finished / "c.png", 1)
    result = run("analyze", *sorted(finished.glob("*.png")))
    assert result.exit_code == 0, result.output
    first, second, third = result.stdout.splitlines()
    for line, name in ((first, "a"), (second, "b")):
        assert line == (
            f"fakelens: {finished / name}.png: already analyzed, results in "
            f"{finished / name}_analyzed; use --force to analyze it again"
        )
    assert third.startswith(f"Results: {finished / 'c_analyzed'}")
    assert times(finished).items() >= before.items()
    quiet = run("analyze", finished / "a.png", "--quiet")
    assert (quiet.exit_code, quiet.output) == (0, "")
    assert run("analyze", new).exit_code == 4  # as the first time: there is no face
    assert run("analyze", finished / "a.png", "--force", "--quiet").exit_code == 0
    assert not times(finished / "a_analyzed").items() & before.items()


CHANGES = [
    (["--cam", "gradcam"], "--cam: hirescam, now gradcam"),
    (["--threshold", "0.7"], "--threshold: default, now 0.7"),
    (["--no-trust"], "trust measures: on, now off"),
    (["--ablation", "deletion"], "--ablation: features, now deletion"),
    (["--detector", "haar"], "--detector: "),
]


@pytest.mark.parametrize(("options", "said"), CHANGES, ids=str)
def test_other_settings_are_named_and_stop_no_other(
    options: list[str], said: str, finished: Path
) -> None:
    before = times(finished / "a_analyzed")
    new = make_picture(finished / "c.png", 1)
    result = run("analyze", finished / "a.png", new, *options)
    assert result.exit_code == 3
    complaint, _no_face = result.stderr.splitlines()
    assert complaint.startswith(f"fakelens: {finished / 'a.png'}: already analyzed with other ")
    assert f"({said}" in complaint
    assert "use --force" in complaint
    assert (finished / "c_analyzed" / "report.json").exists()
    assert times(finished / "a_analyzed") == before


def test_settings_that_change_nothing_for_an_input_are_the_same(finished: Path) -> None:
    options = ("--every", "auto", "--cam", "hirescam", "--no-video", "--no-smooth")
    assert run("analyze", finished / "a.png", *options).exit_code == 0
    assert run("analyze", finished / "a.png", "--no-trust", "--force", "-q").exit_code == 0
    options = ("--ablation", "deletion", "--no-trust")
    assert "already analyzed" in run("analyze", finished / "a.png", *options).stdout


def test_results_of_another_model_or_version_are_told(finished: Path) -> None:
    path = finished / "a_analyzed" / "report.json"
    report = json.loads(path.read_text(encoding="utf-8"))
    for change, said in (
        ({"schema_version": 1}, "version of the report: 1, now 3"),
        ({"model": report["model"] | {"name": "other"}}, "model: other, now fakelens-patch"),
        ({"provenance": report["provenance"] | {"model_sha256": "0" * 64}}, "model: 00000000, now"),
    ):
        path.write_text(json.dumps(report | change), encoding="utf-8")
        result = run("analyze", finished / "a.png")
        assert result.exit_code == 1
        assert said in one_sentence(result)


def test_the_interval_of_frames_is_compared_as_it_was_given(faceless: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run("analyze", faceless, "-o", out, "--every", "auto").exit_code == 4
    for _ in range(2):
        assert "already" in run("analyze", faceless, "-o", out, "--every", "auto").stdout
    assert "--every: auto, now 2" in one_sentence(run("analyze", faceless, "-o", out))


def test_a_video_that_was_not_drawn_is_told(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run("analyze", clip, "-o", out, "--no-video", "--every", 10).exit_code == 0
    assert "already" in run("analyze", clip, "-o", out, "--no-video", "--every", 10).stdout
    result = run("analyze", clip, "-o", out, "--every", 10)
    assert result.exit_code == 1
    assert f"already analyzed, but {out} has no annotated.mp4; use --force" in one_sentence(result)
    assert run("analyze", clip, "-o", out, "--every", 10, "--force").exit_code == 0
    assert "already" in run("analyze", clip, "-o", out, "--no-video", "--every", 10).stdout


@pytest.mark.parametrize("force", [(), ("--force",)])
@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b'{"persons":[', b"[" * 10**6, None])
def test_a_report_that_cannot_be_read_is_told_and_kept(
    content: bytes | None, force: tuple[str, ...], tmp_path: Path
) -> None:
    first, second = (make_picture(tmp_path / name, 1) for name in ("a.png", "b.png"))
    report = tmp_path / "a_analyzed" / "report.json"
    report.parent.mkdir()
    if content is None:
        report.mkdir()
    else:
        report.write_bytes(content)
    result = run("analyze", first, second, *force)
    assert result.exit_code == 3
    complaint = result.stderr.splitlines()[0]
    assert complaint.startswith(f"fakelens: {first}: {report} cannot be read")
    assert "choose another folder with -o" in complaint
    assert [path.name for path in report.parent.iterdir()] == ["report.json"]
    assert report.is_dir() or report.read_bytes() == content
    assert (tmp_path / "b_analyzed" / "report.json").exists()


def test_any_error_is_about_one_input_only(
    portrait: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = {
        "disk.png": OSError(5, "Input/output error"),
        "place.png": OSError(28, "No space left on device", "/somewhere/else"),
        "text.png": UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates not allowed"),
        "bug.png": RuntimeError("a bug"),
    }
    analyze = pipeline.analyze_models

    def failing(path: Path, **more: Any) -> Any:
        if path.name in errors:
            raise errors[path.name]
        return analyze(path, **more)

    monkeypatch.setattr(pipeline, "analyze_models", failing)
    made = [make_picture(tmp_path / name, 1) for name in errors]
    last = tmp_path / "last.png"
    last.write_bytes(portrait.read_bytes())
    result = run("analyze", tmp_path / "missing.png", *made, last, "-o", tmp_path / "out")
    assert result.exit_code == 3
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["last"]
    said = [line for line in result.stderr.splitlines() if line.startswith("fakelens: ")]
    assert said[0].startswith(f"fakelens: {tmp_path / 'missing.png'}: no such file")
    assert said[1:] == [
        f"fakelens: {made[0]}: Input/output error",
        f"fakelens: {made[1]}: /somewhere/else: No space left on device",
        f"fakelens: {made[2]}: 'utf-8' codec can't encode character '\\udcff' in position 0: "
        "surrogates not allowed",
        f"fakelens: {made[3]}: an error in fakelens, please report it",
    ]
    assert "RuntimeError: a bug" in result.stderr  # with a traceback for the report
    assert run("analyze", *made, "-o", tmp_path / "none").exit_code == 1
    assert not (tmp_path / "none").exists()


@pytest.fixture
def no_analysis(monkeypatch: pytest.MonkeyPatch) -> None:
    def called(*given: Any, **more: Any) -> None:
        raise AssertionError("the analysis has begun")

    monkeypatch.setattr(pipeline, "analyze_models", called)


@pytest.mark.usefixtures("no_analysis")
@pytest.mark.skipif(os.name == "nt", reason="other names are invalid there")
def test_a_bad_place_for_results_is_found_before_the_analysis(tmp_path: Path) -> None:
    first, second = (make_picture(tmp_path / name, 1) for name in ("a.png", "b.png"))
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    before = set(tmp_path.rglob("*"))
    places = ("file", "file/below", "link", "link/below", "x" * 256, f"new/{'x' * 256}/new")
    for number, place in enumerate(places):
        inputs = [first, second][: 1 + number % 2]
        result = run("analyze", *inputs, "-o", tmp_path / place)
        assert result.exit_code == 1
        assert "Traceback" not in result.stderr
        assert len(result.stderr.splitlines()) == len(inputs)
        assert str(tmp_path / place.split("/")[0]) in result.stderr
    assert set(tmp_path.rglob("*")) == before


def test_heatmaps_are_kept_on_the_disk_of_the_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_picture(tmp_path / "a.png", 1)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "unusable"))
    result = run("analyze", path, "-o", tmp_path / "new" / "out")
    assert result.exit_code == 4, result.output


def test_a_stream_can_be_chosen(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "two.mkv", frames=4, more_videos=[(64, 48)])
    for number, width in ((1, 64), (2, 128)):
        out = tmp_path / str(number)
        assert run("analyze", clip, "-o", out, "--stream", number).exit_code == 4
        report = json.loads((out / "report.json").read_text(encoding="utf-8"))
        assert report["settings"]["stream"] == number
        assert report["video"]["width"] == width
    assert "--stream: 2, now 1" in one_sentence(run("analyze", clip, "-o", out, "--stream", 1))
    missing = run("analyze", clip, "-o", tmp_path / "3", "--stream", 3)
    assert missing.exit_code == 1
    assert "no video stream 3" in one_sentence(missing)
    wrong = run("analyze", clip, "-o", tmp_path / "3", "--stream", 0)
    assert wrong.exit_code == 2
    assert "no stream 0" in one_sentence(wrong)
    assert not (tmp_path / "3").exists()
