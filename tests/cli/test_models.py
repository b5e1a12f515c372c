"""``fakelens models``: names, published weights."""

from pathlib import Path

import pytest

from support.commands import one_sentence, run
from support.meso_reference import TorchMeso, write_keras_h5
from support.model_files import write_model_file


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


def test_the_layers_of_a_model_file_are_listed(tmp_path: Path) -> None:
    (tmp_path / "own_arch.py").write_text(
        "from torch import nn\n\ndef build():\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, 3, stride=4), nn.ReLU(), nn.Flatten(2),\n"
        "                         nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 1))\n"
    )
    path = write_model_file(tmp_path / "m.toml", 'factory = "own_arch:build"')
    result = run("models", "layers", path)
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["0", "Conv2d", "4", "x", "16", "x", "16", "16", "x", "16,", "channels", "first"] in rows
    assert ["1", "ReLU"] in [row[:2] for row in rows]
    assert rows[-1][:2] == ["5", "Linear"]
    assert rows[-1][-1] == "-"
    # A wrong layer is no reason not to list the layers.
    wrong = write_model_file(
        tmp_path / "m.toml", 'factory = "own_arch:build"', card="layer = 'none'"
    )
    assert run("models", "layers", wrong).stdout == result.stdout


def test_what_has_no_list_of_layers_is_one_sentence(tmp_path: Path) -> None:
    write_keras_h5(TorchMeso("meso4", 64), tmp_path / "own.h5")
    mesonet = write_model_file(tmp_path / "m.toml", "file = 'own.h5'")
    binary = tmp_path / "x.onnx"
    binary.write_bytes(b"\x08\xff\xfe")
    for path, words in (
        (mesonet, "is a MesoNet, of which fakelens explains the last convolution"),
        (binary, "is not a TOML file: it is not text"),
        (tmp_path / "none.toml", "does not exist"),
    ):
        result = run("models", "layers", path)
        assert result.exit_code == 1
        assert words in one_sentence(result)


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
