"""Error records: verdicts on labelled clips, counted and put into the card of a model file."""

import json
import math
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest

pytest.importorskip("tqdm", reason="training needs the extra [training]")

import typer
from typer.testing import CliRunner

from fakelens.analysis.verdicts import judge_track
from fakelens.errors import FakelensError
from fakelens.evaluation.labels import LabelledFile
from fakelens.models.onnx import load_evidence_model, save_evidence_model
from fakelens.records.findings import Finding, Verdict
from fakelens.records.models import Calibration, ErrorRecord, VerdictCounts
from fakelens.records.settings import Settings
from support.builders import CARD, THRESHOLDS, make_track
from support.tiny_model import tiny_model
from training import error_records, videos
from training.clips import Clip
from training.error_records import command_line, read_record, write_record

CALIBRATED = replace(CARD, calibration=Calibration("m", "d", 1.2, ()))


def finding(verdict: Verdict, score: float | None = 0.5) -> Finding:
    judged = judge_track(make_track(np.zeros(100)), THRESHOLDS, still=False)
    return replace(judged, verdict=verdict, score=score)


FAKE, REAL = Verdict.FAKE, Verdict.REAL
RECORD = ErrorRecord("test", "d", True, (VerdictCounts("a", "real", 6, 1, 2, 3, 0),), 0.87, "c")


def test_forgeries_are_counted_with_the_videos_they_were_made_from() -> None:
    for dataset, short in (
        ("FF++ c23 Deepfakes", "FF++ c23"),
        ("FF++ c23 original", "FF++ c23"),
        ("FF++ c40 Face2Face", "FF++ c40"),
        ("two (renamed by uploader)", "two"),
        ("two", "two"),
    ):
        clip = Clip(Path("clip.mp4"), True, dataset, "group")
        assert clip.labelled == LabelledFile(clip.path, True, "group", short)


def test_record_is_written_and_read_unchanged(tmp_path: Path) -> None:
    for record in (RECORD, replace(RECORD, cllr=None, independent=False, counts=())):
        write_record(record, tmp_path / "record.json")
        assert read_record(tmp_path / "record.json") == record


def test_files_that_are_no_record_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    with pytest.raises(FakelensError, match=r"record\.json cannot be read: No such file"):
        read_record(path)
    path.write_text("{")
    with pytest.raises(FakelensError, match=r"record\.json is not an error record"):
        read_record(path)
    write_record(RECORD, path)
    fields = json.loads(path.read_text())
    fields["counts"][0]["inconclusive"] = 2
    path.write_text(json.dumps(fields))
    with pytest.raises(FakelensError, match="do not add up to the number of clips"):
        read_record(path)


def test_command_line_names_no_path_of_the_machine() -> None:
    command = command_line("/home/me/models/new.ONNX", "test", independent=True)
    assert command == (
        "python -m training.videos FILE.onnx --data DATA --use test --record FILE.json "
        "--independent"
    )
    command = command_line("fakelens-patch", "choose", independent=False, origin="clips of us")
    assert command == (
        "python -m training.videos fakelens-patch --data DATA --use choose --record FILE.json "
        "--origin 'clips of us'"
    )


# Commands


def run(command: object, arguments: Sequence[str | Path]) -> tuple[int, str]:
    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.output


MANIFEST = """path,label,dataset,group,use
videos/a.mp4,real,one (copy),g1,test
videos/b.mp4,fake,one,g1,test
videos/c.mp4,fake,two,g2,test
videos/d.mp4,real,two,g3,choose
"""


@pytest.fixture
def toy_videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a manifest of videos, which can only be analyzed with the usual settings."""
    decisive = {"a": finding(REAL, 0.3), "b": finding(FAKE, 0.9), "c": None}

    def analyze(path: Path, *, model: object, settings: Settings) -> SimpleNamespace:
        assert settings == Settings(), "not what users get"
        return SimpleNamespace(decisive=decisive[path.stem])

    (tmp_path / "manifest.csv").write_text(MANIFEST)
    monkeypatch.setattr(videos, "load_model", lambda _: SimpleNamespace(card=CALIBRATED))
    monkeypatch.setattr(videos, "analyze", analyze)
    return tmp_path


@pytest.mark.parametrize(
    "options", [[], ["--independent"], ["--independent", "--origin", "clips of us"]], ids=str
)
def test_videos_command_records_the_verdicts_of_users(toy_videos: Path, options: list[str]) -> None:
    file, model = toy_videos / "record.json", toy_videos / "toy.onnx"
    basics = [model, "--data", toy_videos, "--use", "test", "--record", file]
    code, output = run(videos.main, [*basics, *options])
    assert code == 0, output
    record = read_record(file)
    assert (record.name, record.independent) == ("test", bool(options))
    words = "clips of us" if "--origin" in options else "public research clips"
    assert record.data == f"3 {words} of 2 datasets"
    assert record.counts == (
        VerdictCounts("one", "real", clips=1, fake=0, real=1, inconclusive=0, not_judged=0),
        VerdictCounts("one", "fake", clips=1, fake=1, real=0, inconclusive=0, not_judged=0),
        VerdictCounts("two", "fake", clips=1, fake=0, real=0, inconclusive=0, not_judged=1),
    )
    # A true ratio of 9 and one of 7 / 3 for real.
    cost = (math.log2(10 / 9) + math.log2(10 / 7)) / 2
    assert record.cllr == pytest.approx(cost, abs=6e-4)
    assert f"Cllr {cost:.2f}" in output
    # The recorded command makes the same record.
    assert str(toy_videos) not in record.command
    places = {"FILE.onnx": model, "DATA": toy_videos, "FILE.json": toy_videos / "again.json"}
    words_typed = shlex.split(record.command)
    assert words_typed[:3] == ["python", "-m", "training.videos"]
    assert run(videos.main, [places.get(word, word) for word in words_typed[3:]])[0] == 0
    assert read_record(toy_videos / "again.json") == record


def test_videos_command_refuses_a_record_of_two_models_or_no_clip(toy_videos: Path) -> None:
    file = toy_videos / "record.json"
    for models, use, words in (
        (["a.onnx", "b.onnx"], "test", "a record is of one model, not of 2"),
        (["a.onnx"], "tests", "no labelled clip for the use 'tests'"),
    ):
        code, output = run(
            videos.main, [*models, "--data", toy_videos, "--use", use, "--record", file]
        )
        assert code == 2
        assert words in " ".join(output.replace("│", " ").split())
    assert not file.exists()


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    old = replace(CALIBRATED, error_records=(replace(RECORD, name="old"),))
    save_evidence_model(tiny_model(), old, path)
    return path


def write_records(folder: Path, records: Sequence[ErrorRecord]) -> list[Path]:
    paths = [folder / f"{record.name}.json" for record in records]
    for record, path in zip(records, paths, strict=True):
        write_record(record, path)
    return paths


def test_records_replace_those_in_a_model_file(tmp_path: Path, model_file: Path) -> None:
    names = [("choose", False), ("test", True), ("pilot", False), ("third", True)]
    records = [replace(RECORD, name=name, independent=independent) for name, independent in names]
    code, output = run(error_records.main, [model_file, *write_records(tmp_path, records)])
    assert (code, output) == (0, f"{model_file}: test, third, choose, pilot\n")
    card = load_evidence_model(model_file).card
    choose, test, pilot, third = records
    assert card == replace(CALIBRATED, error_records=(test, third, choose, pilot))
    graph = tiny_model().graph.SerializeToString(deterministic=True)
    assert graph in model_file.read_bytes()


def test_other_files_are_refused_in_one_sentence(tmp_path: Path, model_file: Path) -> None:
    (record,) = write_records(tmp_path, [RECORD])
    plain, text = tmp_path / "plain.onnx", tmp_path / "text.json"
    onnx.save(tiny_model(), plain)
    text.write_text("[]")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for arguments, words in (
        ([plain, record], "plain.onnx is an ONNX file but not an evidence model"),
        ([record, record], "test.json is damaged or not an ONNX file"),
        ([tmp_path / "none.onnx", record], "none.onnx does not exist"),
        ([model_file, record, text], "text.json is not an error record"),
    ):
        code, output = run(error_records.main, arguments)
        assert code == 1
        assert output.startswith("Error: ")
        assert output.count("\n") == 1
        assert words in output
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
