"""Writing thresholds and error records into model files: what changes, and what stays."""

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from fakelens.errors import ModelError, OutputError, UsageError
from fakelens.evaluation.save_card import check_output, find_model_file, save_calibrated
from fakelens.models.onnx import load_evidence_model, save_evidence_model
from fakelens.records.models import ErrorRecord, Thresholds, VerdictCounts
from support.builders import CARD
from support.coloured_faces import colour_model

RECORD = ErrorRecord(
    "a lab's",
    'some "clips"',
    False,
    (VerdictCounts("é", "real", 6, 1, 2, 3, 0), VerdictCounts("é", "fake", 1, 1, 0, 0, 0)),
    None,
    "c",
)
FITTED = Thresholds(0.84, 0.3, "25 clips")
FIELDS = {
    "name": "a lab's",
    "data": 'some "clips"',
    "independent": False,
    "counts": [
        {"dataset": "é", "label": "real", "clips": 6, "fake": 1, "real": 2, "inconclusive": 3}
        | {"not_judged": 0},
        {"dataset": "é", "label": "fake", "clips": 1, "fake": 1, "real": 0, "inconclusive": 0}
        | {"not_judged": 0},
    ],
    "command": "c",
}
LIMITS = {"fake": 0.84, "real": 0.3, "source": "25 clips"}

PLAIN = """# A model of ours.
[weights]
file = "mine.pth"  # relative

[card]
name = "mine" # short
crop = { reference = "box", scale = 1.3 }

[convention]
outputs = ["real", "fake"]
"""
FULL = """[card.thresholds] # of 2020
fake = 0.6 # too low
real = 0.4
source = "old"

[[card.error_records]]
name = "old"
counts = []

[[card.error_records]]
name = "older"
counts = []

# the crop
[card.crop]
scale = 1.3
[convention]
outputs = ["fake"] # one
"""
APART = """[card]
name = "mine"
thresholds = { fake = 0.6, real = 0.4, source = "old" }
[layout] # between
kind = "tokens"
[card.crop]
scale = 1.3
"""


@pytest.mark.parametrize("text", [PLAIN, FULL, APART], ids=["plain", "full", "apart"])
def test_only_thresholds_and_records_of_a_model_file_change(text: str, tmp_path: Path) -> None:
    source, output = tmp_path / "mine.toml", tmp_path / "calibrated.toml"
    source.write_text(text, encoding="utf-8")
    save_calibrated(source, output, FITTED, (RECORD, replace(RECORD, cllr=0.5)))
    assert source.read_text(encoding="utf-8") == text
    expected = tomllib.loads(text)
    expected["card"] |= {"thresholds": LIMITS, "error_records": [FIELDS, FIELDS | {"cllr": 0.5}]}
    written = output.read_text(encoding="utf-8")
    assert tomllib.loads(written) == expected
    for line in text.splitlines():
        if "#" in line:
            assert line.split("#")[1] in written
    # Writing again changes nothing, and the file may be the model's own.
    save_calibrated(output, output, FITTED, (RECORD, replace(RECORD, cllr=0.5)))
    assert tomllib.loads(output.read_text(encoding="utf-8")) == expected
    assert sorted(tmp_path.iterdir()) == [output, source]


def test_only_thresholds_and_records_of_an_evidence_model_change(tmp_path: Path) -> None:
    source, output = tmp_path / "mine.onnx", tmp_path / "new" / "calibrated.onnx"
    save_evidence_model(colour_model(), CARD, source)
    data = source.read_bytes()
    save_calibrated(source, output, FITTED, (RECORD,))
    card = load_evidence_model(output).card
    assert card == replace(CARD, thresholds=FITTED, error_records=(RECORD,))
    assert source.read_bytes() == data
    save_calibrated(output, output, CARD.thresholds, ())
    assert output.read_bytes() == data
    assert list(output.parent.iterdir()) == [output]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[card", "is not a TOML file"),
        (b"\xff", "is not a TOML file"),
        (b"a = 1", "is not a model file: it has no table card"),
        (b"card = 1", "is not a model file: it has no table card"),
        (None, "does not exist"),
    ],
)
def test_other_files_are_refused_and_nothing_is_written(
    content: bytes | None, words: str, tmp_path: Path
) -> None:
    source, output = tmp_path / "mine.toml", tmp_path / "calibrated.toml"
    if content is not None:
        source.write_bytes(content)
    with pytest.raises(ModelError, match=words):
        save_calibrated(source, output, FITTED, ())
    assert not output.exists()


def test_a_damaged_evidence_model_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    source, output = tmp_path / "mine.onnx", tmp_path / "calibrated.onnx"
    source.write_bytes(b"x")
    with pytest.raises(ModelError, match=r"mine\.onnx is damaged"):
        save_calibrated(source, output, FITTED, ())
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize("suffix", [".onnx", ".toml"])
def test_an_output_that_cannot_be_written_is_named(suffix: str, tmp_path: Path) -> None:
    source = tmp_path / f"mine{suffix}"
    if suffix == ".onnx":
        save_evidence_model(colour_model(), CARD, source)
    else:
        source.write_text(PLAIN, encoding="utf-8")
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OutputError, match="cannot be written"):
        save_calibrated(source, tmp_path / "file" / f"new{suffix}", FITTED, ())


def test_models_without_a_card_in_a_file_are_refused() -> None:
    for name in ("mesoinception4-df", "mine.h5", "mine.pth"):
        with pytest.raises(UsageError, match=f"{name} has no place for thresholds: .*own-model"):
            find_model_file(name)
    with pytest.raises(UsageError, match="no model 'nonsense'"):
        find_model_file("nonsense")
    assert find_model_file("a/mine.TOML") == Path("a/mine.TOML")
    assert find_model_file("fakelens-patch").suffix == ".onnx"


def test_an_output_must_be_free_of_the_same_kind_and_beside_what_it_names(tmp_path: Path) -> None:
    source, taken = tmp_path / "mine.toml", tmp_path / "taken.toml"
    taken.touch()
    check_output(source, taken, force=True)
    check_output(source, tmp_path / "free.toml", force=False)
    check_output(tmp_path / "mine.onnx", tmp_path / "new" / "free.onnx", force=False)
    with pytest.raises(OutputError, match=r"taken\.toml: already exists; use --force"):
        check_output(source, taken, force=False)
    with pytest.raises(UsageError, match=r"must be a \.toml file"):
        check_output(source, tmp_path / "free.onnx", force=False)
    with pytest.raises(UsageError, match="must be written to the folder of"):
        check_output(source, tmp_path / "new" / "free.toml", force=True)
