"""``annotated.mp4``: the video with heatmaps, boxes and scores drawn on it."""

from pathlib import Path

from fakelens.media.planes import Planes
from fakelens.media.profile import Profile
from fakelens.media.transcode import transcode
from fakelens.records.report import Report
from fakelens.records.settings import Progress
from fakelens.render.overlay import Overlay
from fakelens.render.painter import Canvas, Painter
from fakelens.render.style import Style
from fakelens.report.error_rates import error_rate_caption
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
    """Write the annotated video, and the portraits in the same pass over the frames.

    Args:
        report: to draw.
        folder: for the file ``FILE_NAME``.
        style: how to draw.
        portraits: given every decoded frame before it is drawn on.
        progress: called after each frame.
        profile: records how long each stage takes.

    Returns:
        Sentences on how the file differs from its source besides the drawing.

    Raises:
        MediaError: the input cannot be read again.
        OutputError: the file cannot be written.
    """
    overlay = Overlay(report, smooth=style.smooth, baseline=style.baseline)
    caption = error_rate_caption(report.model, report.thresholds)
    painter: Painter | None = None

    def draw(index: int, planes: Planes) -> None:
        nonlocal painter
        painter = painter or Painter(style, planes.encode, planes.y.shape[0], caption)
        painter.paint(Canvas((planes.y, planes.u, planes.v), planes.encode), overlay.marks(index))

    return transcode(
        report.source,
        folder / FILE_NAME,
        draw,
        stream=report.video.stream,
        on_frame=portraits.add_frame,
        side_by_side=style.side_by_side,
        progress=progress,
        profile=profile,
    )
