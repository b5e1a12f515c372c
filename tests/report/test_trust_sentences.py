"""The assessment of a verdict is in every file of a report."""

import dataclasses
import json
from pathlib import Path
from typing import Literal

import cv2
import jsonschema
import numpy as np
import pytest

from fakelens.analysis.pipeline import analyze
from fakelens.media.images import encode_jpeg
from fakelens.records.report import Report
from fakelens.records.settings import Settings
from fakelens.records.trust import (
    Assessment,
    ControlOutcome,
    Controls,
    Faithfulness,
    Region,
    Regions,
    Robustness,
    SpecificityMark,
    TrustMark,
)
from fakelens.render.style import Style
from fakelens.report.document import json_schema, read_report, write_document
from fakelens.report.save import save_drawings, save_report
from support.comparing import specificity
from support.pages import Page
from support.toys import FAKE, REAL, RedModel, ScriptedDetector, film

FRAMES = 40


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    clip = film(tmp_path_factory.mktemp("clip") / "two.mp4", FAKE, REAL, frames=FRAMES)
    faces, settings = ScriptedDetector(FAKE, REAL), Settings(every=1)
    return analyze(clip, model=RedModel(), detector=faces, settings=settings)


def assessed(mark: TrustMark = TrustMark.SUPPORTED) -> Assessment:
    """Return an assessment with every part."""
    part = Region("mouth", 0.1, 0.6, 1.5, (0.5, -1.0, 0.7), (1.0, 0.0, 2.0), 0.41, 0.93)
    rest = Region("surroundings", 0.9, 0.4, -0.5, (0.5, -1.0, 0.3), (0.0, 0.0, 0.1), None, None)
    sentence = (
        "removing the mouth changes the score from 0.97 to 0.41 (an equal area elsewhere: 0.93)"
    )
    return Assessment(
        faithfulness=Faithfulness(mark, "features", 2.2, 0.1, 0.01, 0.8, 1.0, 0.3, 6, 1.0),
        robustness=Robustness((0.7, 0.97), {"mirrored": 0.7, "recompressed": 0.97}, 3),
        controls=Controls(
            ControlOutcome.DETECTED, 0.91, 0.6, 0.2, 0.97, recompression_false_alarm=True, faces=3
        ),
        regions=Regions((part, rest), 0.0, 0.5, 0.97, (sentence,)),
        agreement=0.9,
        strongest=(30, 5),
        notes=("something was left out",),
    )


def with_assessment(report: Report, assessment: Assessment) -> Report:
    first, *others = report.findings
    findings = (dataclasses.replace(first, assessment=assessment), *others)
    faces = {1: encode_jpeg(np.full((32, 32, 3), 150, np.uint8))}
    track, *rest = report.tracks
    landmarks = np.tile(
        np.float32([(15, 20), (45, 20), (30, 35), (20, 48), (40, 48)]), (FRAMES, 1, 1)
    )
    first_track = dataclasses.replace(track, landmarks=landmarks + track.boxes[:, None, :2])
    tracks = (first_track, *rest)
    return dataclasses.replace(report, findings=findings, mean_faces=faces, tracks=tracks)


def test_an_assessment_is_read_as_it_was_written(report: Report, tmp_path: Path) -> None:
    write_document(with_assessment(report, assessed()), tmp_path, tmp_path)
    path = tmp_path / "report.json"
    assert read_report(path).findings[0].assessment == assessed()
    jsonschema.validate(json.loads(path.read_text()), json_schema())


def test_the_page_says_how_reliable_the_result_is(report: Report, tmp_path: Path) -> None:
    save_report(with_assessment(report, assessed()), tmp_path / "out", video=False)
    page = Page((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))
    for words in (
        "if re-cropped or recompressed 0.70 to 0.97",
        "heatmap faithful to the model: supported, it shows what the score depends on",
        "this does not mean that the marked area was edited",
        "changes the logit by -2.2 (random 20 %: -0.1; p = 0.01, 6 faces)",
        "the two differ by 2.1; with the weights of the last layers shuffled, by at most 0.3",
        "add up to 100 % of the logit",
        "move the score between 0.70 and 0.97",
        "control detected",
        "60 % of the added evidence lies inside the forged area, which covers 20 % of the heatmap",
        "false alarm when recompressed",
        "something was left out",
        "removing the mouth changes the score from 0.97 to 0.41",
        "0:00.2 , frame 5:",
        "0:01.2 , frame 30:",
        "mean correlation of each heatmap with the mean of the others: 0.90",
    ):
        assert words in page.text, words
    assert page.text.count("Mean face and mean heatmap") == 1
    assert "Faded" not in page.text


@pytest.mark.parametrize("mark", SpecificityMark)
def test_the_mean_face_says_that_it_is_faded(
    report: Report, tmp_path: Path, mark: SpecificityMark
) -> None:
    measured = dataclasses.replace(assessed(), specificity=specificity(np.zeros((8, 8)), mark))
    save_report(with_assessment(report, measured), tmp_path / "out", video=False)
    page = Page((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))
    caption = page.text.partition("Mean face and mean heatmap")[2].partition("Verdict")[0]
    assert ("Faded: not specific to this face." in caption) == (mark is SpecificityMark.USUAL)


@pytest.mark.parametrize(
    ("mark", "words"),
    [
        (TrustMark.WEAK, "heatmap faithful to the model: weak"),
        (TrustMark.CHANCE, "heatmap faithful to the model: not better than chance"),
    ],
)
def test_the_page_says_when_a_heatmap_is_not_supported(
    report: Report, tmp_path: Path, mark: TrustMark, words: str
) -> None:
    save_report(with_assessment(report, assessed(mark)), tmp_path / "out", video=False)
    page = Page((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))
    assert words in page.text
    assert "supported" not in page.text.partition("Person 2: ")[0]


def test_the_mean_face_is_shown_without_and_with_the_mean_heatmap(
    report: Report, tmp_path: Path
) -> None:
    save_report(with_assessment(report, assessed()), tmp_path / "out", video=False)
    both = cv2.imread(str(tmp_path / "out" / "mean_faces" / "person-1.png"))
    original, drawn = np.split(both.astype(int), 2, axis=1)
    assert np.abs(original - 150).max() <= 1
    # The actor's face is red everywhere, so there is evidence for fake in the middle.
    middle = drawn[140:180, 140:180].reshape(-1, 3).mean(axis=0)
    assert middle[2] > middle[0] + 30


def test_drawing_again_into_the_folder_of_the_report_keeps_the_mean_faces(
    report: Report, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    save_report(with_assessment(report, assessed()), folder, video=False)
    kept = (folder / "mean_faces" / "person-1.png").read_bytes()
    save_drawings(read_report(folder / "report.json"), folder, style=Style(), force=True)
    assert (folder / "mean_faces" / "person-1.png").read_bytes() == kept
    save_report(report, folder, video=False, force=True)
    assert not (folder / "mean_faces").exists()


@pytest.mark.parametrize(("ablation", "warned"), [("features", False), ("road", True)])
def test_the_page_warns_when_removed_pixels_may_mislead(
    report: Report, tmp_path: Path, ablation: Literal["features", "road"], warned: bool
) -> None:
    measured = assessed(TrustMark.CHANCE)
    assert measured.faithfulness is not None
    faithful = dataclasses.replace(measured.faithfulness, ablation=ablation)
    measured = dataclasses.replace(measured, faithfulness=faithful)
    save_report(with_assessment(report, measured), tmp_path / "out", video=False)
    page = Page((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))
    assert ("removing pixels leaves traces" in page.text.partition("Person 2: ")[0]) is warned
