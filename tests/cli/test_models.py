"""``fakelens models``: names, published weights."""

from pathlib import Path

import pytest

from support.commands import one_sentence, run


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
