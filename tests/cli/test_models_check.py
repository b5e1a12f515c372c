"""``fakelens models check``."""

from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from fakelens.cli.models_check import check
from fakelens.models.onnx import save_evidence_model
from support.builders import CARD
from support.plain_pictures import make_picture
from support.tiny_model import tiny_model


def run(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(check)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def cells(result: Result) -> str:
    """The text of the table, without its lines."""
    return " ".join(result.stdout.replace("│", " ").split())


@pytest.fixture
def brightness(tmp_path: Path) -> Path:
    """A model whose logit is the mean of the pixels, which is far too large."""
    save_evidence_model(tiny_model(), CARD, tmp_path / "brightness.onnx")
    return tmp_path / "brightness.onnx"


def test_the_default_model_passes_without_labels() -> None:
    result = run("fakelens-patch")
    assert result.exit_code == 0, result.output
    for words in ("fakelens-patch", "SHA-256", "polarity", "not checked", "ms a face"):
        assert words in result.stdout
    assert "wrong" not in result.stdout


def test_what_would_mislead_is_one_sentence_and_exit_code_1(brightness: Path) -> None:
    result = run(brightness, "--quiet")
    assert result.exit_code == 1
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("fakelens: ")
    assert line.endswith("would mislead: saturation")
    assert "scaled as in training" in cells(result)


def test_labelled_pictures_are_used(tmp_path: Path, brightness: Path) -> None:
    portrait = pytest.importorskip("skimage.data").astronaut()
    make_picture(tmp_path / "real.png", portrait)
    make_picture(tmp_path / "fake.png", (portrait * 0.6).astype(np.uint8))
    make_picture(tmp_path / "wall.png", np.full((200, 200, 3), 90, np.uint8))
    rows = "path,label\nreal.png,real\nfake.png,fake\nwall.png,fake\n"
    (tmp_path / "labels.csv").write_text(rows, encoding="utf-8")
    result = run(brightness, "--labelled", tmp_path / "labels.csv")
    assert result.exit_code == 1
    words = cells(result)
    assert "1 genuine and 1 fake faces of 3 files; 1 without a face, such as wall.png" in words
    assert "cannot tell, give more files of each label" in words
    assert "polarity" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["no-such-model"], 2), (["fakelens-patch", "--labelled", "no.csv"], 1)],
)
def test_bad_input_is_one_sentence(arguments: list[str], code: int) -> None:
    result = run(*arguments)
    assert result.exit_code == code
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("fakelens: ")
