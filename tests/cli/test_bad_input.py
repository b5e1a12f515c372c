"""Input and options that cannot be used: one sentence, an exit code, nothing left behind."""

import json
import shutil
from pathlib import Path

import av
import numpy as np
import pytest

from support.commands import FILES, one_sentence, run
from support.media import make_clip, truncate


def _missing(folder: Path) -> Path:
    return folder / "missing.mp4"


def _empty(folder: Path) -> Path:
    path = folder / "empty.mp4"
    path.touch()
    return path


def _text(folder: Path) -> Path:
    path = folder / "text.mp4"
    path.write_text("this is no video\n" * 100)
    return path


def _truncated(folder: Path) -> Path:
    return truncate(make_clip(folder / "truncated.mp4"), 0.5)


def _sound_only(folder: Path) -> Path:
    path = folder / "sound.m4a"
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def _folder(folder: Path) -> Path:
    (folder / "folder.mp4").mkdir()
    return folder / "folder.mp4"


@pytest.mark.parametrize("make", [_missing, _empty, _text, _truncated, _sound_only, _folder])
def test_bad_input_is_one_sentence_and_leaves_nothing(make: object, tmp_path: Path) -> None:
    path = make(tmp_path)  # type: ignore[operator]
    before = set(tmp_path.rglob("*"))
    result = run("analyze", path, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert str(path) in one_sentence(result)
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--model", "nonsense"], 2, "mesoinception4-df"),
        (["--model", "nowhere.onnx"], 1, "nowhere.onnx"),
        (["--detector", "nobody"], 2, "yunet"),
        (["--cam", "webcam"], 2, "hirescam"),
        (["--threshold", "1.5"], 2, "between 0 and 1"),
        (["--every", "0"], 2, "not 0"),
        (["--device", "abacus"], 2, "no device 'abacus'"),
        (["--every", "often"], 2, "a number of frames or auto, not 'often'"),
        (["--model", "mesoinception4-df"], 1, "models pull mesoinception4-df"),
    ],
)
def test_wrong_settings_are_told_before_any_work(
    arguments: list[str],
    code: int,
    said: str,
    faceless: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FAKELENS_CACHE", str(tmp_path / "cache"))
    result = run("analyze", faceless, "-o", tmp_path / "out", *arguments)
    assert result.exit_code == code
    assert said in one_sentence(result)
    assert not (tmp_path / "out").exists()


def test_damaged_weights_are_told(faceless: Path, tmp_path: Path) -> None:
    for name in ("text.h5", "text.onnx"):
        (tmp_path / name).write_text("these are no weights")
        result = run("analyze", faceless, "-o", tmp_path / "out", "--model", tmp_path / name)
        assert result.exit_code == 1
        assert name in one_sentence(result)


def test_no_face_is_an_answer(faceless: Path, tmp_path: Path) -> None:
    result = run("analyze", faceless, "-o", tmp_path / "out")
    assert result.exit_code == 4
    assert "no face" in one_sentence(result)
    assert (
        json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))["persons"] == []
    )
    assert "No face was found" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert not (tmp_path / "out" / "annotated.mp4").exists()


def test_one_bad_input_does_not_stop_the_others(clip: Path, faceless: Path, tmp_path: Path) -> None:
    options = ("-o", tmp_path / "out", "--no-video", "--every", 10)
    result = run("analyze", _text(tmp_path), faceless, clip, *options)
    assert result.exit_code == 3
    assert (tmp_path / "out" / clip.stem / "report.json").exists()
    assert (tmp_path / "out" / "faceless" / "report.json").exists()
    assert not (tmp_path / "out" / "text").exists()


@pytest.mark.parametrize("name", ["no extension", "wéird %03d * [1].webm", "clip.mkv.mp4"])
def test_the_name_of_a_file_does_not_matter(name: str, clip: Path, tmp_path: Path) -> None:
    shutil.copy(clip, tmp_path / name)
    result = run("analyze", tmp_path / name, "--every", 10, "--no-video")
    assert result.exit_code == 0, result.output
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert folder.name == f"{Path(name).stem}_analyzed"


def test_a_folder_without_a_name_is_one_sentence() -> None:
    result = run("analyze", ".", "-o", "nowhere")
    assert result.exit_code == 1
    assert "a folder; give the videos" in one_sentence(result)
    assert "a folder; give the videos" in one_sentence(run("analyze", "/"))


def test_a_name_that_is_too_long_is_one_sentence(clip: Path, tmp_path: Path) -> None:
    assert run("analyze", clip, "-o", tmp_path / ("x" * 400)).exit_code == 1


def test_a_demo_that_cannot_be_leaves_nothing(tmp_path: Path) -> None:
    assert run("demo", "-o", tmp_path / "demo", "--model", "nonsense").exit_code == 2
    assert not (tmp_path / "demo").exists()


def test_there_is_nothing_to_render_without_a_face(faceless: Path, tmp_path: Path) -> None:
    assert run("analyze", faceless, "-o", tmp_path / "out").exit_code == 4
    result = run("render", tmp_path / "out" / "report.json")
    assert result.exit_code == 4
    assert "no face" in one_sentence(result)
    assert not (tmp_path / "out" / "rendered").exists()


def test_an_output_that_cannot_be_a_folder(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for output in (tmp_path / "file", tmp_path / "file" / "below"):
        result = run("analyze", clip, "-o", output)
        assert result.exit_code == 1
        assert "file" in one_sentence(result)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("side", ["left", "right", "top", "bottom", "filling"])
def test_a_face_at_the_edge_is_examined(side: str, tmp_path: Path) -> None:
    portrait = pytest.importorskip("skimage.data").astronaut()
    x1, y1, x2, y2 = {
        "left": (215, 0, 512, 300),
        "right": (0, 0, 232, 300),
        "top": (0, 95, 512, 400),
        "bottom": (0, 0, 512, 145),
        "filling": (185, 70, 262, 168),
    }[side]
    part = np.ascontiguousarray(portrait[y1:y2, x1:x2]).repeat(2, axis=0).repeat(2, axis=1)
    with av.open(str(tmp_path / "edge.png"), "w", format="image2") as container:
        stream = container.add_stream("png", width=part.shape[1], height=part.shape[0])
        stream.pix_fmt = "rgb24"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(part, format="rgb24")))
        container.mux(stream.encode())
    result = run("analyze", tmp_path / "edge.png", "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    names = {path.name for path in (tmp_path / "out").iterdir()}
    of_videos = {"annotated.mp4", "keyframes", "untouched.mp4"}
    assert names == FILES - of_videos | {"annotated.png", "mean_faces"}
