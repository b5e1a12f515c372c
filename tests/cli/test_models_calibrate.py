"""``fakelens models calibrate``, on pictures whose right thresholds are known."""

import csv
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

import fakelens
from fakelens.evaluation import calibrate as calibration
from fakelens.evaluation import save_card
from fakelens.models.onnx import load_evidence_model, save_evidence_model
from fakelens.records.models import Calibration, ErrorRecord, VerdictCounts
from support.builders import CARD
from support.coloured_faces import colour_classifier, colour_model, make_coloured_face
from support.commands import one_sentence, run
from support.media import make_clip
from support.plain_pictures import make_picture

GENUINE = (-3, -2.5, -2, -1, 1.5, 2)
FAKES = (-1.5, -0.5, 1, 2.5, 3, 3.5)
RATES = ("--false-alarms", 0.25, "--misses", 0.25)
OLD = ErrorRecord("old", "d", False, (VerdictCounts("a", "real", 6, 1, 2, 3, 0),), None, "c")


def write_table(path: Path, rows: Sequence[Sequence[object]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("path", "label", "group", "dataset"), *rows])
    return path


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures of two datasets, and one in which nobody is seen."""
    folder = tmp_path_factory.mktemp("labelled")
    rows: list[tuple[str, str, str, str]] = []
    for label, logits in (("real", GENUINE), ("fake", FAKES)):
        for number, logit in enumerate(logits):
            name = f"{label} {number}.png"
            make_coloured_face(folder / name, logit)
            rows.append((name, label, "", "one" if number < 4 else "two"))
    make_picture(folder / "none.png", 90)
    rows.append(("none.png", "real", "", "one"))
    return write_table(folder / "clips of a lab.csv", rows)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "mine.onnx"
    card = replace(CARD, error_records=(OLD,), calibration=Calibration("m", "d", 1.5, ()))
    save_evidence_model(colour_model(), card, path)
    return path


def calibrate(*arguments: object) -> str:
    result = run("models", "calibrate", *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def cells(printed: str, name: str) -> list[str]:
    """Return the cells of the first row of that name."""
    (row,) = re.findall(rf"^│ {name} +│.*│$", printed, re.MULTILINE)[:1]
    return [cell.strip() for cell in row.strip("│").split("│")[1:]]


def sums(record: ErrorRecord, label: str) -> tuple[int, int]:
    counts = [one for one in record.counts if one.label == label]
    return sum(one.clips for one in counts), sum(one.not_judged for one in counts)


def test_a_model_gets_the_thresholds_of_the_clips(
    labels: Path, model: Path, tmp_path: Path
) -> None:
    before, output = model.read_bytes(), tmp_path / "calibrated.onnx"
    printed = calibrate(model, labels, "-o", output, *RATES)
    assert model.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == [output, model]

    # One value of seven may lie beyond: none of the six.
    calibrated = load_evidence_model(output)
    card, thresholds = calibrated.card, calibrated.card.thresholds
    assert 1 / (1 + np.exp(-2)) < thresholds.fake == 0.881
    assert 1 / (1 + np.exp(1.5)) > thresholds.real == 0.182
    assert "6 genuine clips of 6 groups and 6 fakes of 6 groups" in thresholds.source
    assert "at most 0.25" in thresholds.source
    (record,) = card.error_records
    assert (record.name, record.independent) == ("clips of a lab", False)
    assert record.data.startswith("13 labelled clips of 2 datasets; cross-fitted: ")
    assert {(one.dataset, one.label) for one in record.counts} == {
        (dataset, label) for dataset in ("one", "two") for label in ("real", "fake")
    }
    assert sums(record, "real") == (7, 1)
    assert sums(record, "fake") == (6, 0)
    assert card == replace(
        load_evidence_model(model).card, thresholds=thresholds, error_records=(record,)
    )

    # The genuine clip with the highest score is called fake by thresholds fitted without it.
    assert cells(printed, "genuine")[0] == "1"
    assert cells(printed, "fake")[0] == "3"
    assert cells(printed, "genuine")[3:] == ["1", "7"]
    assert cells(printed, "before") == ["0.6", "0.4"]
    assert cells(printed, "after") == ["0.881", "0.182"]
    pairs = [(fake > real) for fake in FAKES for real in GENUINE]
    assert f"AUC {np.mean(pairs):.3f}, 95 % interval" in printed
    assert "by bootstrap over 12 groups" in printed
    # Bruemmer and du Preez, within the limit of the calibration.
    limit = 1.5 * np.log(10)
    bits = [
        np.mean(np.log2(1 + np.exp(np.clip(sign * np.array(logits), -limit, limit))))
        for sign, logits in ((-1, FAKES), (1, GENUINE))
    ]
    assert record.cllr == pytest.approx(np.mean(bits), abs=6e-4)
    assert f"Cllr {np.mean(bits):.2f} bits" in printed
    assert printed.count("#") == 12
    assert printed.rstrip().endswith(str(output))

    # The new thresholds are used: that of the model was below the score.
    picture = labels.with_name("real 4.png")
    for file, verdict in ((model, "likely fake"), (output, "inconclusive")):
        found = fakelens.analyze(picture, model=fakelens.load_model(file)).decisive
        assert found is not None
        assert found.verdict == verdict


def test_the_recorded_command_makes_the_same_record(
    labels: Path, model: Path, tmp_path: Path
) -> None:
    words = ("--name", "ours", "--origin", "studio clips of us", "--every", "auto")
    assert calibrate(model, labels, "-o", tmp_path / "one.onnx", *RATES, *words, "-q") == ""
    (record,) = load_evidence_model(tmp_path / "one.onnx").card.error_records
    assert (record.name, record.data.split(";")[0]) == (
        "ours",
        "13 studio clips of us of 2 datasets",
    )
    assert str(tmp_path) not in record.command
    typed = shlex.split(record.command)
    assert typed[:4] == ["fakelens", "models", "calibrate", "FILE.onnx"]
    calibrate(model, labels, "-o", tmp_path / "two.onnx", *typed[7:])
    assert typed[4:7] == ["LABELS.csv", "-o", "FILE.onnx"]
    assert (tmp_path / "two.onnx").read_bytes() == (tmp_path / "one.onnx").read_bytes()


def test_independent_clips_leave_the_thresholds_and_come_first(
    labels: Path, model: Path, tmp_path: Path
) -> None:
    output = tmp_path / "tested.onnx"
    printed = calibrate(model, labels, "-o", output, "--independent")
    card = load_evidence_model(output).card
    record = card.error_records[0]
    assert card == replace(load_evidence_model(model).card, error_records=(record, OLD))
    assert record.independent
    assert record.data == "13 labelled clips of 2 datasets"
    # From 0.6 on, a logit of 0.41: two genuine clips and four fakes.
    assert sum(one.fake for one in record.counts if one.label == "real") == 2
    assert sum(one.fake for one in record.counts if one.label == "fake") == 4
    assert "before" not in printed
    # A record of the same name is replaced.
    calibrate(output, labels, "-o", output, "--force", "--independent", "--name", "old", "-q")
    names = [(one.name, one.independent) for one in load_evidence_model(output).card.error_records]
    assert names == [("old", True), ("clips of a lab", True)]


def test_independent_counts_are_those_of_analyze(labels: Path, model: Path, tmp_path: Path) -> None:
    """With the trust measures, which withdraw a verdict at these thresholds."""
    calibrate(model, labels, "-o", tmp_path / "fitted.onnx", *RATES, "-q")
    calibrate(tmp_path / "fitted.onnx", labels, "-o", tmp_path / "out.onnx", "--independent", "-q")
    record = load_evidence_model(tmp_path / "out.onnx").card.error_records[0]
    fitted, called = fakelens.load_model(tmp_path / "fitted.onnx"), {}
    for trust in (True, False):
        settings = fakelens.Settings(trust=trust)
        found = [
            fakelens.analyze(
                labels.with_name(f"real {number}.png"), model=fitted, settings=settings
            )
            for number in range(6)
        ]
        called[trust] = sum(
            report.decisive is not None and report.decisive.verdict == "likely real"
            for report in found
        )
    assert sum(one.real for one in record.counts if one.label == "real") == called[True]
    assert called[True] < called[False]


def test_clips_of_one_group_count_once(labels: Path, model: Path, tmp_path: Path) -> None:
    rows: list[tuple[object, ...]] = []
    for label in ("real", "fake"):
        for number in range(6):
            group = f"{label} {number if number < 4 else 4}"
            rows.append((labels.with_name(f"{label} {number}.png"), label, group, ""))
    table = write_table(tmp_path / "table.csv", rows)
    calibrate(model, table, "-o", tmp_path / "out.onnx", *RATES, "-q")
    card = load_evidence_model(tmp_path / "out.onnx").card
    assert "6 genuine clips of 5 groups and 6 fakes of 5 groups" in card.thresholds.source
    assert card.thresholds.fake == 0.881
    assert {one.dataset for one in card.error_records[0].counts} == {"table"}


REFUSED: list[tuple[int, Callable[[Path], Sequence[object]], str]] = [
    (2, lambda _: (), "--false-alarms 0.05 needs genuine clips of at least 20 groups"),
    (2, lambda _: RATES[:2], "--misses 0.1 needs fakes of at least 10 groups"),
    (2, lambda _: ("--misses", 1.5), "--misses must lie between 0 and 1, not 1.5"),
    (2, lambda _: ("--independent", "--misses", 0.1), "leave out --false-alarms and --misses"),
    (2, lambda _: (*RATES, "--every", "often"), "--every takes a number of frames or auto"),
    (2, lambda _: (*RATES, "--every", 0), "every must be 1 (each frame) or more"),
    (2, lambda here: (*RATES, "-o", here / "out.toml"), "must be a .onnx file"),
    (1, lambda here: (*RATES, "-o", here / "mine.onnx"), "already exists; use --force"),
]


@pytest.mark.parametrize(("code", "options", "words"), REFUSED)
def test_what_cannot_be_done_is_said_before_any_analysis(
    code: int,
    options: Callable[[Path], Sequence[object]],
    words: str,
    labels: Path,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(calibration, "analyze", None)
    before = model.read_bytes()
    arguments = (model, labels, "-o", tmp_path / "out.onnx", *options(tmp_path))
    result = run("models", "calibrate", *arguments)
    assert result.exit_code == code, result.output
    assert words in one_sentence(result)
    assert model.read_bytes() == before
    assert list(tmp_path.iterdir()) == [model]


def test_a_model_without_a_card_in_a_file_is_refused(labels: Path, tmp_path: Path) -> None:
    for name in ("mesoinception4-df", "mine.h5"):
        result = run("models", "calibrate", name, labels, "-o", tmp_path / "out.toml")
        assert result.exit_code == 2
        assert "own-model" in one_sentence(result)


def test_a_clip_that_cannot_be_read_ends_the_run(
    labels: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = labels.with_name("text.mp4")
    text.write_text("text", encoding="utf-8")
    table = labels.with_name("table.csv")
    table.write_text(labels.read_text(encoding="utf-8") + "text.mp4,real,,\n", encoding="utf-8")
    monkeypatch.setattr(calibration, "analyze", None)
    result = run("models", "calibrate", model, table, "-o", tmp_path / "out.onnx", *RATES)
    assert result.exit_code == 1
    assert "text.mp4" in one_sentence(result)
    assert not (tmp_path / "out.onnx").exists()


def test_clips_without_a_person_do_not_count(model: Path, tmp_path: Path) -> None:
    """Enough clips, but nobody in them; a video that is too short is not judged either."""
    names = [f"{label} {number}.png" for label in ("real", "fake") for number in range(6)]
    for name in names:
        make_picture(tmp_path / name, 90)
    make_clip(tmp_path / "short.mp4", frames=4)
    rows = [(name, name[:4], "", "") for name in names]
    table = write_table(tmp_path / "table.csv", [*rows, ("short.mp4", "fake", "", "")])
    output = tmp_path / "out.onnx"
    result = run("models", "calibrate", model, table, "-o", output, *RATES)
    assert result.exit_code == 2
    assert "there are 0" in one_sentence(result)
    assert not output.exists()
    printed = calibrate(model, table, "-o", output, "--independent")
    assert cells(printed, "fake") == ["0", "0", "0", "7", "7"]
    assert "AUC" not in printed


def test_swapped_labels_are_noticed(labels: Path, model: Path, tmp_path: Path) -> None:
    rows = [
        (labels.with_name(f"{label} {number}.png"), other, "", "")
        for label, other, used in (("real", "fake", range(4)), ("fake", "real", range(2, 6)))
        for number in used
    ]
    table = write_table(tmp_path / "table.csv", rows)
    printed = calibrate(model, table, "-o", tmp_path / "out.onnx", *RATES)
    assert "AUC 0.000" in printed
    assert "check the polarity of the model" in printed


def test_ctrl_c_leaves_nothing(
    labels: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for module, name in (
        (calibration, "analyze"),
        (save_card, "replace_card"),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(module, name, interrupt)
            output = tmp_path / "out.onnx"
            result = run("models", "calibrate", model, labels, "-o", output, *RATES)
        assert result.exit_code == 130
        assert list(tmp_path.iterdir()) == [model]


MODEL_FILE = """# Ours.
[weights]
file = "plain.onnx"
[card]
input_size = 32
crop = { reference = "box", scale = 1.2 }  # generous
[convention]
outputs = ["fake"]
mean = [0, 0, 0]
std = [1, 1, 1]
values = "logits"
"""


def test_a_model_file_is_calibrated(labels: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "mine.toml", tmp_path / "calibrated.toml"
    source.write_text(MODEL_FILE, encoding="utf-8")
    onnx.save(colour_classifier(), tmp_path / "plain.onnx")
    calibrate(source, labels, "-o", output, *RATES, "-q")
    written = output.read_text(encoding="utf-8")
    assert written.startswith(MODEL_FILE.partition("[convention]")[0])
    card = fakelens.load_model(output).card
    assert (card.thresholds.fake, card.thresholds.real) == (0.881, 0.182)
    (record,) = card.error_records
    assert (sums(record, "real"), record.cllr) == ((7, 1), None)
    assert "calibrate FILE.toml LABELS.csv -o FILE.toml" in record.command
    assert source.read_text(encoding="utf-8") == MODEL_FILE
    result = run("models", "calibrate", source, labels, "-o", tmp_path / "sub" / "x.toml", *RATES)
    assert result.exit_code == 2
    assert "must be written to the folder of" in one_sentence(result)
