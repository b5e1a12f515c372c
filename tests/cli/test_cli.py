"""The command line as its users meet it: files, sentences and exit codes, through the program."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from fakelens.cli.app import app
from fakelens.evaluation import demo
from support.media import make_clip, truncate

FILES = {
    "annotated.mp4",
    "faces",
    "heatmaps.f16",
    "report.html",
    "report.json",
    "scores.csv",
    "untouched.mp4",
}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def one_sentence(result: Result) -> str:
    """The error: exactly one line, from us, and no traceback."""
    assert isinstance(result.exception, SystemExit | None), result.exception
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("fakelens: ")
    assert "Traceback" not in result.output
    return line


def timestamps(path: Path) -> list[object]:
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def sound(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of two people, with sound, from public-domain portraits."""
    path = tmp_path_factory.mktemp("clip") / "two people é.mp4"
    demo.make_clip(path, seconds=2)
    return path


@pytest.fixture(scope="session")
def faceless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "faceless.mp4", frames=8)


@pytest.fixture(scope="session")
def analyzed(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("analyzed") / "results"
    result = run("analyze", clip, "-o", folder)
    assert result.exit_code == 0, result.output
    return folder


def test_analyze_writes_everything_it_promises(clip: Path, analyzed: Path) -> None:
    assert {path.name for path in analyzed.iterdir()} == FILES | {"mean_faces"}
    assert {path.name for path in (analyzed / "faces").iterdir()} == {
        "person-1.png",
        "person-2.png",
    }
    assert timestamps(analyzed / "annotated.mp4") == timestamps(clip)
    assert sound(analyzed / "annotated.mp4") == sound(clip)


def test_two_people_are_two_people_in_every_output(analyzed: Path) -> None:
    lines = (analyzed / "scores.csv").read_text(encoding="utf-8").splitlines()
    rows = list(csv.DictReader(lines))
    assert lines[0].startswith("frame,time,person,x1,y1,x2,y2,logit,score")
    assert len(rows) == 2 * 25  # of 50 frames every second one is examined
    # The clip shows one person on either side; neither may ever change sides.
    sides = {(row["person"], float(row["x1"]) > demo.WIDTH / 2) for row in rows}
    assert len(sides) == 2
    document = json.loads((analyzed / "report.json").read_text(encoding="utf-8"))
    assert [person["finding"]["person"] for person in document["persons"]] == [1, 2]


def test_the_report_says_what_the_model_ran_on(analyzed: Path) -> None:
    document = json.loads((analyzed / "report.json").read_text(encoding="utf-8"))
    assert document["provenance"]["device"] == "cpu"
    assert "run on cpu" in (analyzed / "report.html").read_text(encoding="utf-8")


def test_the_program_is_quiet_where_nobody_looks(clip: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fakelens", "analyze", str(clip), "-o", str(tmp_path / "out")]
    done = subprocess.run([*command, "--no-video"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr == ""  # no terminal, so no progress bar
    assert "person" in done.stdout
    assert "evidence, not proof" in done.stdout
    command[-1] = str(tmp_path / "other")
    done = subprocess.run(
        [*command, "--no-video", "--quiet"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not (tmp_path / "other" / "annotated.mp4").exists()


def test_the_time_is_accounted_for_on_request(clip: Path, tmp_path: Path) -> None:
    result = run("analyze", clip, "-o", tmp_path / "out", "--every", "auto", "--profile", "--quiet")
    assert result.exit_code == 0
    stages = {line.strip("│ ").split("  ")[0].rstrip("│ ") for line in result.stdout.splitlines()}
    assert stages >= {
        "decode",
        "detect and track faces",
        "model and heatmaps",
        "decode again",
        "draw",
        "encode",
        "in all (stages overlap)",
    }
    assert run("analyze", clip, "-o", tmp_path / "two", "--no-video", "--quiet").stdout == ""


def test_results_are_not_overwritten_without_force(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("mine")
    (tmp_path / "notes.txt").write_text("mine too")
    assert "--force" in one_sentence(refused := run("analyze", clip, "-o", tmp_path))
    assert refused.exit_code == 1
    assert (tmp_path / "report.json").read_text() == "mine"
    assert run("analyze", clip, "-o", tmp_path, "--force", "--no-video").exit_code == 0
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["persons"]
    assert (tmp_path / "notes.txt").read_text() == "mine too"


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
        (["--device", "abacus"], 2, "no device is called"),
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
    result = run("analyze", _text(tmp_path), faceless, clip, "-o", tmp_path / "out", "--no-video")
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
    assert "is not a file" in one_sentence(result)
    assert "is not a file" in one_sentence(run("analyze", "/"))


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
    assert names == FILES - {"annotated.mp4", "untouched.mp4"} | {"annotated.png", "mean_faces"}


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


def test_models_are_listed_and_pulled_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKELENS_CACHE", str(tmp_path))
    listed = run("models")
    assert listed.exit_code == 0
    for name in (
        "fakelens-patch",
        "meso4-df",
        "meso4-f2f",
        "mesoinception4-df",
        "Apache-2.0",
    ):
        assert name in listed.stdout
    (tmp_path / "wrong.h5").write_text("wrong")
    result = run("models", "pull", "meso4-df", "--from", tmp_path / "wrong.h5")
    assert result.exit_code == 1
    assert "SHA-256" in one_sentence(result)
    assert run("models", "pull", "nonsense").exit_code == 2


@pytest.mark.shared
def test_published_weights_work_once_pulled(
    shared_data: Path, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKELENS_CACHE", str(tmp_path / "cache"))
    weights = shared_data / "weights" / "MesoInception_DF.h5"
    assert run("models", "pull", "mesoinception4-df", "--from", weights).exit_code == 0
    options = ("--model", "mesoinception4-df", "--detector", "dlib", "--cam", "tf2cam")
    result = run("analyze", clip, "-o", tmp_path / "out", *options, "--every", 5)
    assert result.exit_code == 0, result.output
    other = shared_data / "weights" / "Meso4_DF.h5"
    result = run("models", "pull", "mesoinception4-df", "--from", other)
    assert result.exit_code == 1


@pytest.mark.usefixtures("interruptible")
@pytest.mark.skipif(os.name == "nt", reason="there is no such signal")
def test_an_interruption_leaves_nothing(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    demo.make_clip(clip, seconds=4)
    command = [sys.executable, "-m", "fakelens", "analyze", str(clip), "-o", str(tmp_path / "out")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".out.partial-*/annotated.mp4")):  # until it draws
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.strip() == "fakelens: interrupted; unfinished results were removed"
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


@pytest.fixture(scope="session")
def demonstrated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("demo") / "demo"
    result = run("demo", "-o", folder)
    assert result.exit_code == 0, result.output
    return folder, result.stdout


@pytest.mark.slow
def test_the_demo_says_whether_the_heatmap_points_at_the_planted_area(
    demonstrated: tuple[Path, str],
) -> None:
    folder, said = demonstrated
    assert {path.name for path in folder.iterdir()} == FILES - {"untouched.mp4"} | {
        "demo.mp4",
        "mean_faces",
    }
    assert str(folder) in said
    assert "forged" in said
    assert "forged area" in said


@pytest.mark.slow
def test_the_demo_repeats_itself(demonstrated: tuple[Path, str], tmp_path: Path) -> None:
    folder, _ = demonstrated
    assert run("analyze", folder / "demo.mp4", "-o", tmp_path, "--no-video").exit_code == 0
    assert (tmp_path / "scores.csv").read_bytes() == (folder / "scores.csv").read_bytes()


@pytest.mark.slow
def test_the_demos_tampered_person_is_explained_and_the_other_has_no_parts_named(
    demonstrated: tuple[Path, str],
) -> None:
    persons = json.loads((demonstrated[0] / "report.json").read_text())["persons"]
    untouched, tampered = (person["finding"]["assessment"] for person in persons)
    assert tampered["faithfulness"]["mark"] == "supported"
    assert tampered["faithfulness"]["completeness"] == pytest.approx(1, abs=1e-3)
    assert tampered["regions"]["sentences"]
    assert untouched["regions"] is None
    assert untouched["controls"]["forged_score"] > persons[0]["finding"]["score"] + 0.2
    page = (demonstrated[0] / "report.html").read_text(encoding="utf-8")
    assert page.count("What removing a part of the face changes") == 1
