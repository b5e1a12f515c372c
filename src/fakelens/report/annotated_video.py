"""The annotated video."""

from pathlib import Path

from fakelens.media.planes import Planes
from fakelens.media.profile import Profile
from fakelens.media.transcode import transcode
from fakelens.records.report import Report
from fakelens.records.settings import Progress
from fakelens.render.overlay import Overlay
from fakelens.render.painter import Canvas, Painter
from fakelens.render.style import Style
from fakelens.report.portraits import Portraits

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

    return transcode(
        report.source,
        folder / FILE_NAME,
        draw,
        watch=portraits.see,
        side_by_side=style.side_by_side,
        progress=progress,
        profile=profile,
    )
