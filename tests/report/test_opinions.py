"""Second opinions: the words, the folders, the page and the files."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from fakelens.analysis.pipeline import analyze_models
from fakelens.errors import OutputError, ReportError, UsageError
from fakelens.records.faces import CropGeometry
from fakelens.records.findings import Finding, Verdict
from fakelens.records.models import Thresholds
from fakelens.records.report import Report
from fakelens.records.settings import Settings
from fakelens.render.style import Style
from fakelens.report.document import json_schema, read_report
from fakelens.report.identity import read_identity
from fakelens.report.opinions import (
    NOT_INDEPENDENT,
    Answer,
    agreement_sentence,
    is_folder,
    model_labels,
    overview,
    place_reports,
)
from fakelens.report.page import write_page
from fakelens.report.page_files import PageFiles
from fakelens.report.save import save_drawings, save_report
from support.builders import CARD, make_report, make_track
from support.comparing import SEALED
from support.media import make_clip
from support.pages import Page
from support.report_files import DRAWINGS, FILES, contents, files
from support.toys import FAKE, REAL, RedModel, ScriptedDetector, analyzed, draw_scene, photograph

OTHER = replace(
    CARD,
    name="Other model/é",
    crop=CropGeometry("box", 1.6),
    thresholds=Thresholds(0.01, 0.005, "made up"),
    error_records=(SEALED,),
)
THIRD = replace(CARD, name="../third")
INSIDE = {
    "report.json",
    "heatmaps.f16",
    "scores.csv",
    "report.html",
    "faces/person-1.png",
    "faces/person-2.png",
}
"""Files of a further model."""


def run(path: Path, *cards: object) -> tuple[Report, ...]:
    return analyze_models(
        path,
        models=[RedModel(card) for card in cards],  # type: ignore[arg-type]
        detector=ScriptedDetector(FAKE, REAL),
        settings=Settings(trust=False, every=1),
    )


@pytest.fixture(scope="session")
def both(clip: Path) -> tuple[Report, ...]:
    return run(clip, CARD, OTHER)


@pytest.fixture(scope="session")
def compared(both: tuple[Report, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all files of two models. Do not change it."""
    folder = tmp_path_factory.mktemp("compared") / "out"
    save_report(both[0], folder, others=both[1:])
    return folder


def page(path: Path) -> Page:
    return Page((path / "report.html").read_text(encoding="utf-8"))


def row(*said: tuple[str, Verdict, float | None]) -> list[Answer]:
    finding = make_report(make_track([3.0] * 100), maps=[[[0.0]]] * 100).findings[0]
    return [
        Answer(name, replace(finding, verdict=verdict, score=score))
        for name, verdict, score in said
    ]


SENTENCES = [
    (
        [("A", Verdict.FAKE, 0.9), ("B", Verdict.FAKE, 0.7)],
        "Both models call person 1 likely fake.",
    ),
    (
        [("A", Verdict.REAL, 0.1), ("B", Verdict.REAL, 0.2)],
        "Both models call person 1 likely real.",
    ),
    (
        [("A", Verdict.INCONCLUSIVE, 0.5)] * 3,
        "All 3 models are inconclusive on person 1.",
    ),
    (
        [("A", Verdict.FAKE, 0.9), ("B", Verdict.REAL, 0.1)],
        "The models disagree on person 1: A says likely fake, B says likely real. Treat it as "
        "inconclusive.",
    ),
    (
        [("A", Verdict.FAKE, 0.9), ("B", Verdict.INCONCLUSIVE, 0.5), ("C", Verdict.REAL, 0.1)],
        "The models disagree on person 1: A says likely fake, B is inconclusive, C says likely "
        "real. Treat it as inconclusive.",
    ),
    (
        [("A", Verdict.FAKE, 0.9), ("B", Verdict.INCONCLUSIVE, 0.5)],
        "Person 1: A says likely fake; B is inconclusive.",
    ),
    (
        [("A", Verdict.INCONCLUSIVE, 0.5), ("B", Verdict.INCONCLUSIVE, None)],
        "Person 1: A is inconclusive; B gives no score.",
    ),
]


@pytest.mark.parametrize(("said", "sentence"), SENTENCES, ids=lambda value: str(value)[:40])
def test_agreement_is_told_in_words(
    said: Sequence[tuple[str, Verdict, float | None]], sentence: str
) -> None:
    assert agreement_sentence(row(*said)) == sentence


def with_verdicts(report: Report, *verdicts: Verdict) -> tuple[Finding, ...]:
    return tuple(
        replace(finding, verdict=verdict)
        for finding, verdict in zip(report.findings, verdicts, strict=True)
    )


def test_the_overview_counts_people(both: tuple[Report, ...]) -> None:
    one, other = both
    for verdicts, said in (
        ((Verdict.FAKE, Verdict.REAL), "on 2 of 2 people."),
        ((Verdict.FAKE, Verdict.INCONCLUSIVE), "on 1 of 2 people."),
        ((Verdict.REAL, Verdict.REAL), "on 1 of 2 people, and contradict each other on 1."),
        ((Verdict.REAL, Verdict.FAKE), "on none of 2 people, and contradict each other on 2."),
    ):
        own = replace(one, findings=with_verdicts(one, Verdict.FAKE, Verdict.REAL))
        theirs = replace(other, findings=with_verdicts(other, *verdicts))
        placed = place_reports(own, [theirs])
        assert overview(placed[0]) == f"Both models give the same verdict {said}"
    assert overview(replace(one, second_opinions=())) is None


def test_models_of_one_name_are_told_apart(both: tuple[Report, ...]) -> None:
    opinion = replace(both[0].second_opinions[0], model=CARD, model_sha256="abcdef0123")
    same = replace(both[0], second_opinions=(opinion,))
    assert model_labels(same) == ["toy (22222222)", "toy (abcdef01)"]
    assert model_labels(both[0]) == ["toy", "Other model/é"]


def test_folders_are_named_after_models_and_lead_to_each_other(clip: Path) -> None:
    again = replace(OTHER, name="other MODEL ")
    first, *others = run(clip, CARD, OTHER, THIRD, again)
    placed = place_reports(first, others)
    folders = [[opinion.folder for opinion in report.second_opinions] for report in placed]
    assert folders == [
        ["second_opinions/Other-model", "second_opinions/third", "second_opinions/other-MODEL-2"],
        ["../..", "../third", "../other-MODEL-2"],
        ["../..", "../Other-model", "../other-MODEL-2"],
        ["../..", "../Other-model", "../third"],
    ]
    assert all(is_folder(folder) for row in folders for folder in row)


@pytest.mark.parametrize(
    "folder", ["..", "/tmp", "../../x", "second_opinions/..", "second_opinions/a/b", "../.a", "x\n"]
)
def test_other_folders_are_refused(folder: str, compared: Path, tmp_path: Path) -> None:
    assert not is_folder(folder)
    document = json.loads((compared / "report.json").read_text(encoding="utf-8"))
    document["second_opinions"][0]["folder"] = folder
    path = tmp_path / "report.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(ReportError, match="second_opinions"):
        read_report(path)


def test_reports_of_different_inputs_are_not_combined(
    both: tuple[Report, ...], tmp_path: Path
) -> None:
    stranger = analyzed(make_clip(tmp_path / "other.mp4", frames=8))
    with pytest.raises(UsageError, match="not of the same analysis"):
        save_report(both[0], tmp_path / "out", others=[stranger])
    assert not (tmp_path / "out").exists()


def test_the_files_of_each_model(compared: Path) -> None:
    folder = "second_opinions/Other-model"
    assert files(compared) == FILES | {f"{folder}/{name}" for name in INSIDE}


def test_the_reports_are_read_as_they_were_written(
    both: tuple[Report, ...], compared: Path
) -> None:
    placed = place_reports(both[0], both[1:])
    places = (compared, compared / "second_opinions" / "Other-model")
    for report, place in zip(placed, places, strict=True):
        read = read_report(place / "report.json")
        assert read.second_opinions == report.second_opinions
        assert read.findings == report.findings
        assert read.source == report.source
        document = json.loads((place / "report.json").read_text(encoding="utf-8"))
        jsonschema.validate(document, json_schema())
        assert document["schema_version"] == 3
        (opinion,) = read_identity(place / "report.json").second_opinions
        assert opinion.model.name == report.second_opinions[0].model.name
        assert opinion.folder == report.second_opinions[0].folder


def test_a_second_opinion_on_other_people_is_damage(compared: Path, tmp_path: Path) -> None:
    document = json.loads((compared / "report.json").read_text(encoding="utf-8"))
    document["second_opinions"][0]["findings"].pop()
    path = tmp_path / "report.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(ReportError, match="a second opinion is about other persons"):
        read_report(path)


def test_both_pages_compare_the_models(both: tuple[Report, ...], compared: Path) -> None:
    first, second = page(compared), page(compared / "second_opinions" / "Other-model")
    toy, other = ([finding.score for finding in report.findings] for report in both)
    for shown in (first, second):
        assert NOT_INDEPENDENT in shown.text
        assert "How often this model is wrong was not measured." in shown.text
        assert "On 15 genuine clips that were not used to train or choose it" in shown.text
        for score in (*toy, *other):
            assert f"{score:.2f}" in shown.text
        assert (
            sum(name == "alt" and "with the heatmap of" in text for name, text in shown.attributes)
            == 4
        )
    assert "toy (this page)" in first.text
    assert "Other model/é (this page)" in second.text


def test_every_link_of_both_pages_leads_to_a_file(compared: Path) -> None:
    for place, page_link, video in (
        (compared, "second_opinions/Other-model/report.html", "untouched.mp4"),
        (compared / "second_opinions/Other-model", "../../report.html", "../../untouched.mp4"),
    ):
        links = [link for link in page(place).links if not link.startswith(("data:", "#"))]
        assert {page_link, video} <= set(links)
        assert sum("keyframes/" in link for link in links) == 3
        assert all((place / link).is_file() for link in links), links
        assert "an exact copy of the input" in page(place).text


def test_without_a_copy_both_pages_play_the_input(
    both: tuple[Report, ...], clip: Path, tmp_path: Path
) -> None:
    save_report(both[0], tmp_path / "out", others=both[1:], video=False)
    for place in (tmp_path / "out", tmp_path / "out/second_opinions/Other-model"):
        (video,) = [link for link in page(place).links if link.endswith("two.mp4")]
        assert (place / video).samefile(clip)
        assert "the input itself" in page(place).text


def test_a_report_saved_alone_has_no_dead_links(both: tuple[Report, ...], tmp_path: Path) -> None:
    save_report(both[0], tmp_path / "out", video=False)
    assert "Other model/é" in page(tmp_path / "out").text
    assert not [link for link in page(tmp_path / "out").links if "second_opinions" in link]


def test_a_page_without_second_opinion_does_not_mention_one(saved: Path) -> None:
    assert "econd opinion" not in (saved / "report.html").read_text(encoding="utf-8")


def test_a_picture_has_a_drawing_for_each_model(tmp_path: Path) -> None:
    first, *others = run(photograph(tmp_path / "a.png", draw_scene(0, (FAKE, REAL))), CARD, OTHER)
    save_report(first, tmp_path / "out", others=others)
    for place in (tmp_path / "out", tmp_path / "out/second_opinions/Other-model"):
        assert files(place) >= INSIDE | {"annotated.png"}


def test_force_replaces_the_results_of_all_models_and_nothing_else(
    clip: Path, both: tuple[Report, ...], tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    save_report(both[0], folder, others=both[1:], video=False)
    with pytest.raises(OutputError, match="--force"):
        save_report(both[0], folder, others=both[1:], video=False)
    mine = ("notes.txt", "second_opinions/mine.txt", "second_opinions/Other-model/mine/report.json")
    for name in mine:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("mine")
    first, third = run(clip, CARD, THIRD)
    save_report(first, folder, others=[third], video=False, force=True)
    own = FILES - {"annotated.mp4", "untouched.mp4"}
    assert files(folder) == {*own, *mine, *(f"second_opinions/third/{name}" for name in INSIDE)}
    for name in mine:
        (folder / name).unlink()
    save_report(analyzed(clip, FAKE, REAL), folder, video=False, force=True)
    assert files(folder) == own
    assert not (folder / "second_opinions" / "third").exists()


def test_all_appears_or_nothing(both: tuple[Report, ...], tmp_path: Path) -> None:
    folder = tmp_path / "out"
    save_report(both[0], folder, others=both[1:])
    before = contents(folder)

    def fail(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save_report(both[0], folder, others=both[1:], force=True, progress=fail)
    assert contents(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_report_of_the_other_model_can_be_drawn_again(compared: Path, tmp_path: Path) -> None:
    read = read_report(compared / "second_opinions" / "Other-model" / "report.json")
    save_drawings(read, tmp_path / "again", style=Style())
    assert files(tmp_path / "again") == DRAWINGS


def test_it_finds_the_copy_of_an_input_that_has_gone(
    both: tuple[Report, ...], clip: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "in.mp4"
    moved.write_bytes(clip.read_bytes())
    first, *others = run(moved, CARD, OTHER)
    save_report(first, tmp_path / "out", others=others)
    moved.unlink()
    read = read_report(tmp_path / "out/second_opinions/Other-model/report.json")
    assert read.source.samefile(tmp_path / "out" / "untouched.mp4")


def test_a_crowd_is_compared_without_pictures(tmp_path: Path) -> None:
    tracks = [
        make_track([3.0] * 100, person=number, heatmaps=range(100)) for number in range(1, 61)
    ]
    report = make_report(*tracks, maps=[[[0.0]]] * 100)
    other = replace(
        report,
        model=OTHER,
        findings=tuple(replace(one, verdict=Verdict.REAL) for one in report.findings),
    )
    first, second = place_reports(report, [other])
    assert overview(second) == (
        "Both models give the same verdict on none of 60 people, and contradict each other on 60."
    )
    write_page(first, tmp_path, Style(), PageFiles())
    text = page(tmp_path).text
    assert "44 less suspicious people" in text
    assert "10 more people are not compared here" in text
    assert text.count("Treat it as inconclusive.") == 50
