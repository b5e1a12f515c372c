"""``fakelens analyze --json``: a line of JSON for each input, and nothing else on stdout."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from typer.testing import Result

from fakelens.analysis import pipeline
from fakelens.cli.summary_json import json_schema, summarize, to_line
from fakelens.models.onnx import save_evidence_model
from fakelens.records.models import Calibration
from fakelens.report.document import read_report
from support.builders import CARD, INFO, make_report, make_track
from support.commands import one_sentence, run
from support.comparing import SEALED, with_records
from support.plain_pictures import make_picture
from support.tiny_model import tiny_model

SCHEMA = Path(__file__).parents[2] / "docs" / "reference" / "summary.schema.json"
_COMMAND = [sys.executable, "-m", "fakelens"]


def lines_of(text: str) -> list[dict[str, Any]]:
    """Return the objects of valid lines."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    lines = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        jsonschema.validate(line, schema, cls=jsonschema.Draft202012Validator)
    return lines


def analyze(*arguments: object) -> tuple[Result, list[dict[str, Any]]]:
    result = run("analyze", *arguments, "--json")
    return result, lines_of(result.stdout)


@pytest.fixture
def picture(portrait: Path, tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    path.write_bytes(portrait.read_bytes())
    return path


def test_the_published_schema_is_the_one_in_use() -> None:
    published = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(published)
    assert published == json_schema(), (
        "write docs/reference/summary.schema.json again, see docs/reference/outputs.md"
    )


def test_a_line_says_what_the_report_says(clip: Path, analyzed: Path) -> None:
    result, (line,) = analyze(clip, "-o", analyzed)
    assert result.exit_code == line["exit_code"] == 0
    assert line["error"] is None
    assert (line["input"], line["results"]) == (str(clip), str(analyzed))
    report = json.loads((analyzed / "report.json").read_text(encoding="utf-8"))
    made = report["provenance"]
    assert (line["input_sha256"], line["created"]) == (made["input_sha256"], made["created"])
    assert line["model"] == {
        "name": "fakelens-patch",
        "version": report["model"]["version"],
        "sha256": made["model_sha256"],
        "likely_fake_from": report["thresholds"]["fake"],
        "likely_real_up_to": report["thresholds"]["real"],
    }
    rates = line["error_rates"]
    assert rates["sentence"] == report["error_rates"]
    assert "On 15 genuine clips" in rates["sentence"]
    assert rates["genuine_clips"]["clips"] == 15
    assert f"called {rates['genuine_clips']['likely_fake']} fake" in rates["sentence"]
    for name, label in (("genuine_clips", "real"), ("fakes", "fake")):
        clips, *parts = rates[name].values()
        assert clips == sum(parts), name
        counts = report["model"]["error_records"][0]["counts"]
        ours = [one for one in counts if one["label"] == label]
        assert rates[name]["likely_real"] == sum(one["real"] for one in ours)
    findings = [person["finding"] for person in report["persons"]]
    assert len(line["persons"]) == len(findings) == 2
    for said, finding in zip(line["persons"], findings, strict=True):
        for name in ("person", "verdict", "score", "interval", "reasons", "seen_well"):
            assert said[name] == finding[name], name
        assert said["seen"] == {"start": finding["first"], "end": finding["last"]}
        assert said["high"] == finding["spans"]
    decisive = read_report(analyzed / "report.json").decisive
    assert decisive
    assert (line["person"], line["verdict"], line["score"]) == (
        decisive.person,
        decisive.verdict,
        decisive.score,
    )
    assert line["second_opinions"] == []
    assert line["agreement"] is None
    assert line["caution"] == "A score is evidence, not proof."


def test_skipped_inputs_have_the_line_of_the_first_time(picture: Path, tmp_path: Path) -> None:
    tiny = tmp_path / "tiny.onnx"
    save_evidence_model(tiny_model(), replace(CARD, name="tiny"), tiny)
    empty = make_picture(tmp_path / "b.png", 1)
    command = (picture, empty, "--model", "fakelens-patch", "--model", tiny)
    first, lines = analyze(*command)
    assert "already" not in first.stderr
    again, repeated = analyze(*command)
    assert again.stderr.count("already analyzed") == 2
    assert repeated == lines
    assert (first.exit_code, again.exit_code) == (0, 0)
    assert [line["input"] for line in lines] == [str(picture), str(empty)]
    assert [line["exit_code"] for line in lines] == [0, 4]
    assert lines[1]["verdict"] is None
    assert lines[1]["persons"] == []
    results = json.loads((Path(lines[0]["results"]) / "report.json").read_text(encoding="utf-8"))
    (opinion,) = lines[0]["second_opinions"]
    (known,) = results["second_opinions"]
    assert opinion["model"]["name"] == "tiny"
    assert opinion["model"]["sha256"] == known["model_sha256"]
    assert opinion["error_rates"]["sentence"].startswith("How often this model is wrong was not")
    for name in ("independent", "genuine_clips", "fakes"):
        assert opinion["error_rates"][name] is None
    assert opinion["persons"] == [
        {name: known["findings"][0][name] for name in opinion["persons"][0]}
    ]
    seen_well = known["findings"][0]["seen_well"]
    assert opinion["verdict"] == (known["findings"][0]["verdict"] if seen_well else None)
    assert lines[0]["agreement"].startswith("Person 1: fakelens-patch ")


def test_failures_are_lines_in_the_order_of_the_inputs(picture: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_text("no video")
    missing = tmp_path / "missing.mp4"
    result, lines = analyze(broken, picture, missing, picture, "-q")
    assert result.exit_code == 3
    assert [line["input"] for line in lines] == [str(broken), str(picture), str(missing)]
    assert [line["exit_code"] for line in lines] == [1, 0, 1]
    complaints = result.stderr.splitlines()
    assert [f"fakelens: {lines[n]['error']}" for n in (0, 2)] == complaints
    assert set(lines[0]) == {"schema_version", "input", "exit_code", "error"}


def test_an_error_in_fakelens_is_a_line(picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(pipeline, "analyze_models", fail)
    result, (line,) = analyze(picture)
    assert result.exit_code == line["exit_code"] == 1
    assert line["error"] == f"{picture}: an error in fakelens, please report it"
    assert "ZeroDivisionError" in result.stderr


def test_what_concerns_no_input_is_a_sentence_only(picture: Path) -> None:
    for option in (("--model", "nonsense"), ("--every", "x"), ("--cam", "x")):
        result, lines = analyze(picture, *option)
        assert (result.exit_code, lines) == (2, [])
        one_sentence(result)


def test_everything_else_goes_to_standard_error(picture: Path) -> None:
    result, lines = analyze(picture, picture, "--profile")
    assert len(lines) == 1
    assert "given more than once" in result.stderr
    assert "Time spent in each stage" in result.stderr
    again, lines = analyze(picture, "--quiet")
    assert len(lines) == 1
    assert again.stderr == ""


def test_times_count_from_the_first_frame() -> None:
    track = make_track(np.full(100, 3.0), first=250)
    report = make_report(track, maps=np.zeros((100, 4, 4)), info=replace(INFO, start=10))
    (person,) = summarize(report, Path("a.mp4"), Path("out")).persons
    assert (person.seen.start, person.seen.end) == (0, pytest.approx(3.96))
    assert person.high[0].start == pytest.approx(0)


def test_a_likelihood_ratio_is_given_only_where_the_page_gives_it() -> None:
    report = make_report(make_track(np.full(100, 3.0)), maps=np.zeros((100, 4, 4)))
    finding = replace(report.findings[0], log10_likelihood_ratio=1.5)
    card = replace(CARD, calibration=Calibration("none", "none", 2, ()))
    report = replace(report, model=card, findings=(finding,))

    def ratios(cllr: float | None) -> list[float | None]:
        judged = with_records(report, replace(SEALED, cllr=cllr))
        line = json.loads(to_line(summarize(judged, Path("a.mp4"), Path("out"))))
        return [person["log10_likelihood_ratio"] for person in line["persons"]]

    assert ratios(0.5) == [1.5]
    assert ratios(1.2) == [None]
    assert ratios(None) == [None]


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="file names are Unicode there")
@pytest.mark.parametrize(
    "name", [b"latin-1 \xe9", "\N{GRINNING FACE} \N{CYRILLIC SMALL LETTER VE}".encode()]
)
def test_names_are_valid_json_in_any_encoding(name: bytes, picture: Path) -> None:
    path = picture.with_name(os.fsdecode(name + b".png"))
    picture.rename(path)
    done = subprocess.run(
        [*_COMMAND, "analyze", path, picture, "--json"],
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 3
    one, other = lines_of(done.stdout.decode("ascii"))
    assert one["input"].encode("utf-8") == str(path).encode("utf-8", "backslashreplace")
    assert one["exit_code"] == 0
    assert "no such file" in other["error"].lower()


@pytest.mark.slow
def test_a_reader_that_has_gone_does_not_stop_the_work(picture: Path, tmp_path: Path) -> None:
    other = tmp_path / "b.png"
    other.write_bytes(picture.read_bytes())
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*_COMMAND, "analyze", picture, other, "--json", "--no-trust"],
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(list(tmp_path.glob("*_analyzed/report.json"))) == 2


@pytest.mark.slow
@pytest.mark.usefixtures("interruptible")
@pytest.mark.skipif(os.name == "nt", reason="there is no such signal")
def test_after_ctrl_c_the_finished_inputs_have_their_lines(
    picture: Path, clip: Path, tmp_path: Path
) -> None:
    process = subprocess.Popen(
        [*_COMMAND, "analyze", picture, clip, "-o", tmp_path / "out", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    first = process.stdout.readline()  # printed at once, not when the program ends
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    (line,) = lines_of(first + rest)
    assert line["input"] == str(picture)
    assert errors.strip().splitlines()[-1].startswith("fakelens: interrupted")
