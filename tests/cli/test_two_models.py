"""``fakelens analyze --model A --model B``: what it writes, prints and refuses."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fakelens.analysis import pipeline
from fakelens.models.onnx import save_evidence_model
from support.builders import CARD
from support.commands import FILES, one_sentence, run
from support.pages import Page
from support.plain_pictures import make_picture
from support.tiny_model import tiny_model

PLACE = "second_opinions/tiny"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that takes everybody for fake."""
    path = tmp_path_factory.mktemp("models") / "tiny.onnx"
    save_evidence_model(tiny_model(), replace(CARD, name="tiny"), path)
    return path


@pytest.fixture(scope="module")
def compared(clip: Path, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compared") / "out"
    result = run("analyze", clip, "--model", "fakelens-patch", "--model", tiny, "-o", folder)
    assert result.exit_code == 0, result.output
    (folder.parent / "printed").write_text(result.stdout, encoding="utf-8")
    return folder


def read(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return document


def test_each_model_has_the_results_of_a_run_with_it_alone(
    compared: Path, analyzed: Path, clip: Path, tiny: Path, tmp_path: Path
) -> None:
    alone = tmp_path / "tiny"
    assert run("analyze", clip, "--model", tiny, "-o", alone, "--no-video").exit_code == 0
    for joint, single in ((compared, analyzed), (compared / PLACE, alone)):
        one, other = read(joint), read(single)
        for name in ("persons", "model", "thresholds", "settings", "heatmaps", "video", "frames"):
            assert one[name] == other[name], name
        assert (joint / "heatmaps.f16").read_bytes() == (single / "heatmaps.f16").read_bytes()
        assert (joint / "scores.csv").read_bytes() == (single / "scores.csv").read_bytes()
        for picture in (single / "faces").iterdir():
            assert (joint / "faces" / picture.name).read_bytes() == picture.read_bytes()


def test_the_first_model_has_the_usual_files_and_the_other_a_folder(compared: Path) -> None:
    usual = FILES | {"mean_faces"}
    assert {path.name for path in compared.iterdir()} == usual | {"second_opinions"}
    inside = {path.name for path in (compared / PLACE).iterdir()}
    assert inside == usual - {"annotated.mp4", "keyframes", "untouched.mp4"}
    assert [path.name for path in (compared / "second_opinions").iterdir()] == ["tiny"]


def test_each_report_tells_what_the_other_model_says(compared: Path) -> None:
    for here, there, folder in (
        (compared, compared / PLACE, PLACE),
        (compared / PLACE, compared, "../.."),
    ):
        (opinion,) = read(here)["second_opinions"]
        other = read(there)
        assert opinion["folder"] == folder
        assert opinion["model"]["name"] == other["model"]["name"]
        assert opinion["model_sha256"] == other["provenance"]["model_sha256"]
        assert opinion["thresholds"] == other["thresholds"]
        for said, person in zip(opinion["findings"], other["persons"], strict=True):
            for name in ("person", "verdict", "score", "key_frame", "reasons"):
                assert said[name] == person["finding"][name]


def test_verdicts_of_all_models_and_their_agreement_are_printed(compared: Path) -> None:
    printed = (compared.parent / "printed").read_text(encoding="utf-8")
    table, _, below = printed.partition("└")
    rows = [
        [cell.strip() for cell in line.split("│")] for line in table.splitlines() if "│" in line
    ]
    named = [row[1:5] for row in rows if row[2]]
    own, other = read(compared), read(compared / PLACE)
    ranked = sorted(
        range(2),
        key=lambda number: max(
            (finding["verdict"] == "likely fake", finding["score"])
            for document in (own, other)
            for finding in [document["persons"][number]["finding"]]
        ),
        reverse=True,
    )
    expected = [
        [str(document["persons"][number]["finding"]["person"]) if first else "", name, verdict]
        for number in ranked
        for document, name, first in ((own, "fakelens-patch", True), (other, "tiny", False))
        for verdict in [document["persons"][number]["finding"]["verdict"]]
    ]
    assert [row[:3] for row in named] == expected
    page = Page((compared / "report.html").read_text(encoding="utf-8")).text
    sentences = [line for line in below.splitlines() if "person 1" in line.lower()]
    assert len(sentences) == 1
    assert sentences[0] in page
    assert "\nfakelens-patch: On 15 genuine clips" in below
    assert "\ntiny: How often this model is wrong was not measured." in below
    assert "Agreement is not independent confirmation" in below


def test_finished_results_are_skipped_only_for_the_same_models(
    compared: Path, clip: Path, tiny: Path, tmp_path: Path
) -> None:
    models = ("--model", "fakelens-patch", "--model", tiny)
    again = run("analyze", clip, *models, "-o", compared)
    assert again.exit_code == 0
    assert "already analyzed" in again.stdout
    other = tmp_path / "other.onnx"
    save_evidence_model(tiny_model(), replace(CARD, name="tiny", version="2"), other)
    for given, said in (
        (models[:2], "(other models: tiny, now none)"),
        ((*models, "--model", other), "(other models: tiny, now tiny, tiny)"),
        ((*models[:2], "--model", other), "(SHA-256 of tiny: "),
        ((*models, "--cam", "gradcam"), "--cam of tiny: hirescam, now gradcam"),
    ):
        result = run("analyze", clip, *given, "-o", compared)
        assert result.exit_code == 1
        assert said in one_sentence(result)


def test_a_second_model_is_new_to_results_of_one(analyzed: Path, clip: Path, tiny: Path) -> None:
    result = run("analyze", clip, "--model", "fakelens-patch", "--model", tiny, "-o", analyzed)
    assert result.exit_code == 1
    assert "(other models: none, now tiny)" in one_sentence(result)
    assert not (analyzed / "second_opinions").exists()


def test_a_missing_file_of_the_other_model_is_told_and_made_again(
    portrait: Path, tiny: Path, tmp_path: Path
) -> None:
    command = ("analyze", portrait, "--model", "fakelens-patch", "--model", tiny, "-o", tmp_path)
    assert run(*command).exit_code == 0
    (tmp_path / PLACE / "report.html").unlink()
    assert f"has no {PLACE}/report.html; use --force" in one_sentence(run(*command))
    assert run(*command, "--force").exit_code == 0
    assert (tmp_path / PLACE / "report.html").exists()
    assert run("analyze", portrait, "-o", tmp_path, "--force").exit_code == 0
    assert not (tmp_path / "second_opinions").exists()


def test_what_several_models_cannot_have_is_refused(tiny: Path, tmp_path: Path) -> None:
    picture = make_picture(tmp_path / "a.png", 1)
    twice = run("analyze", picture, "--model", tiny, "--model", tiny)
    assert twice.exit_code == 2
    assert "the model tiny is given twice" in one_sentence(twice)
    threshold = run(
        "analyze", picture, "--model", "fakelens-patch", "--model", tiny, "--threshold", 0.7
    )
    assert threshold.exit_code == 2
    assert "a threshold holds for one model, but 2 are given" in one_sentence(threshold)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_exit_codes_are_those_of_one_model(tiny: Path, faceless: Path, tmp_path: Path) -> None:
    models = ("--model", "fakelens-patch", "--model", tiny)
    assert run("analyze", faceless, *models, "-o", tmp_path / "out").exit_code == 4
    assert (tmp_path / "out" / PLACE / "report.html").exists()
    missing = run("analyze", tmp_path / "none.mp4", *models)
    assert missing.exit_code == 1
    one_sentence(missing)


def test_the_report_of_the_other_model_can_be_drawn(compared: Path, tmp_path: Path) -> None:
    out = tmp_path / "drawn"
    assert run("render", compared / PLACE, "-o", out, "--quiet").exit_code == 0
    assert {path.name for path in out.iterdir()} == {"annotated.mp4", "faces"}


def test_one_pass_serves_both_models(
    portrait: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path] = []
    open_video = pipeline.open_video

    def counted(path: Path, *more: Any) -> Any:
        opened.append(path)
        return open_video(path, *more)

    monkeypatch.setattr(pipeline, "open_video", counted)
    models = ("--model", "fakelens-patch", "--model", tiny)
    assert run("analyze", portrait, *models, "-o", tmp_path / "out", "-q").exit_code == 0
    assert opened == [portrait]
