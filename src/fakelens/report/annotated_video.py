"""``annotated.mp4``: the video with heatmaps, boxes and verdicts drawn on it."""

from collections.abc import Callable
from pathlib import Path

from fakelens.media.frames import DecodedFrame
from fakelens.media.planes import Planes
from fakelens.media.profile import Profile
from fakelens.media.transcode import transcode
from fakelens.records.report import Report
from fakelens.records.settings import Progress
from fakelens.render.overlay import Overlay
from fakelens.render.painter import Canvas, Painter
from fakelens.render.style import Style
from fakelens.report.error_rates import error_rate_caption

FILE_NAME = "annotated.mp4"


def write_video(
    report: Report,
    folder: Path,
    style: Style,
    on_frame: Callable[[DecodedFrame], None],
    progress: Progress | None,
    profile: Profile,
) -> tuple[str, ...]:
    """Write the annotated video, and show every frame to another consumer in the same pass.

    Args:
        report: to draw.
        folder: for the file ``FILE_NAME``.
        style: how to draw.
        on_frame: called with every decoded frame before it is drawn on.
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
        on_frame=on_frame,
        side_by_side=style.side_by_side,
        progress=progress,
        profile=profile,
    )
