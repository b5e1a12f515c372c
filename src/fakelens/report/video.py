"""The annotated video."""

from pathlib import Path

from fakelens.draw import Canvas, Painter, Style
from fakelens.encode import Planes, transcribe
from fakelens.overlay import Overlay
from fakelens.pipeline import Progress
from fakelens.report.pictures import Portraits
from fakelens.results import Report
from fakelens.stages import Profile

FILE_NAME = "annotated.mp4"


def write_video(
    report: Report,
    folder: Path,
    style: Style,
    portraits: Portraits,
    progress: Progress | None,
    profile: Profile,
) -> tuple[str, ...]:
    """Draw the report onto its video, and the portraits while it is read.

    Returns:
        Sentences on how the file differs from its source besides the drawing.
    """
    overlay = Overlay(report, smooth=style.smooth)
    painter: Painter | None = None

    def draw(index: int, planes: Planes) -> None:
        nonlocal painter
        painter = painter or Painter(style, planes.encode, planes.y.shape[0])
        painter.paint(Canvas((planes.y, planes.u, planes.v), planes.encode), overlay.marks(index))

    return transcribe(
        report.source,
        folder / FILE_NAME,
        draw,
        watch=portraits.see,
        side_by_side=style.side_by_side,
        progress=progress,
        profile=profile,
    )
