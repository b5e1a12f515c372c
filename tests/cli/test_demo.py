"""``fakelens demo``: an analysis with a known answer."""

import json
from functools import partial
from pathlib import Path

import pytest

from fakelens.evaluation import demo as evaluation
from support.commands import FILES, run


@pytest.fixture(scope="session")
def demonstrated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Two seconds of the demo, and what it prints."""
    folder = tmp_path_factory.mktemp("demo") / "demo"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "make_clip", partial(evaluation.make_clip, seconds=2))
        result = run("demo", "-o", folder)
    assert result.exit_code == 0, result.output
    return folder, result.stdout


@pytest.mark.slow
def test_the_demo_says_whether_the_heatmap_points_at_the_planted_area(
    demonstrated: tuple[Path, str],
) -> None:
    folder, said = demonstrated
    assert {path.name for path in folder.iterdir()} == FILES - {"untouched.mp4"} | {
        "demo.mp4",
        "mean_faces",
    }
    assert str(folder) in said
    assert "forged" in said
    assert "forged area" in said


@pytest.mark.slow
def test_the_demo_repeats_itself(demonstrated: tuple[Path, str], tmp_path: Path) -> None:
    folder, _ = demonstrated
    assert run("analyze", folder / "demo.mp4", "-o", tmp_path, "--no-video").exit_code == 0
    assert (tmp_path / "scores.csv").read_bytes() == (folder / "scores.csv").read_bytes()


@pytest.mark.slow
def test_the_demos_forged_person_is_explained_and_the_other_has_no_parts_named(
    demonstrated: tuple[Path, str],
) -> None:
    persons = json.loads((demonstrated[0] / "report.json").read_text())["persons"]
    untouched, forged = (person["finding"]["assessment"] for person in persons)
    assert forged["faithfulness"]["mark"] == "supported"
    assert forged["faithfulness"]["completeness"] == pytest.approx(1, abs=1e-3)
    assert forged["regions"]["sentences"]
    assert untouched["regions"] is None
    assert untouched["controls"]["forged_score"] > persons[0]["finding"]["score"] + 0.2
    page = (demonstrated[0] / "report.html").read_text(encoding="utf-8")
    # The parts of the face over time: of the forged person alone.
    assert page.count("Share of each part in the evidence for") == 1
