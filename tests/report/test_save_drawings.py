"""Drawing a saved report again."""

from pathlib import Path

import numpy as np
import pytest

from fakelens.errors import MediaError
from fakelens.media.reader import open_video
from fakelens.records.report import Report
from fakelens.render.style import Style
from fakelens.report.document import read_report
from fakelens.report.save import save_drawings, save_report
from support.report_files import DRAWINGS, FILES, FRAMES, contents, files
from support.toys import (
    FAKE,
    HEIGHT,
    WIDTH,
    film,
)


def test_a_saved_report_can_be_drawn_again_without_the_model(saved: Path, tmp_path: Path) -> None:
    read = read_report(saved / "report.json")
    save_drawings(read, tmp_path / "out", style=Style())
    assert files(tmp_path / "out") == DRAWINGS
    # Boxes are rounded when saved, so pixels can differ slightly.
    again, first = (folder / "annotated.mp4" for folder in (tmp_path / "out", saved))
    with open_video(again) as drawn, open_video(first) as before:
        for found, wanted in zip(drawn.frames(), before.frames(), strict=True):
            assert np.abs(found.image.astype(int) - wanted.image).mean() < 1


def test_another_style_draws_the_same_frames_differently(saved: Path, tmp_path: Path) -> None:
    read = read_report(saved / "report.json")
    save_drawings(read, tmp_path / "out", style=Style(side_by_side=True, evidence="both"))
    with open_video(tmp_path / "out" / "annotated.mp4") as reader:
        assert (reader.info.width, reader.info.height) == (2 * WIDTH, HEIGHT)
        assert sum(1 for _ in reader.frames()) == FRAMES


def test_drawing_again_into_the_folder_of_the_report_keeps_the_report(
    report: Report, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    save_report(report, folder)
    before = contents(folder)
    save_drawings(
        read_report(folder / "report.json"), folder, style=Style(colormap="turbo"), force=True
    )
    after = contents(folder)
    assert files(folder) == FILES
    assert set(after) == set(before)
    different = {name for name in before if before[name] != after[name]}
    assert {"annotated.mp4", "faces/person-1.png"} <= different <= DRAWINGS


def test_a_video_other_than_the_analysed_one_is_refused(
    saved: Path, tmp_path: Path, clip: Path
) -> None:
    other = film(tmp_path / "other.mp4", FAKE, frames=FRAMES)
    read = read_report(saved / "report.json", source=other)
    with pytest.raises(MediaError, match="not the video of this report"):
        save_drawings(read, tmp_path / "out", style=Style())
    assert files(tmp_path) == {"other.mp4"}
