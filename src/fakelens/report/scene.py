"""The scene: one frame of a video with everybody's box and verdict, for paper."""

from dataclasses import replace

from fakelens.media.frames import DecodedFrame, upright_frame
from fakelens.records.faces import Box
from fakelens.records.report import Report
from fakelens.render.overlay import Mark, Overlay
from fakelens.render.painter import Canvas, Painter
from fakelens.render.ranking import rank_all
from fakelens.render.style import Style
from fakelens.report.first_page import MAX_PEOPLE
from fakelens.report.keyframes import choose_keyframes
from fakelens.report.portraits import data_url, shrink

_SIDE = 800  # of the picture, pixels, at most


class Scene:
    """Takes the picture while the frames of a video pass by.

    It is the keyframe that shows the most of the people on the first page, without heatmaps.

    Args:
        report: of a video with faces.

    Attributes:
        picture: data URL of a JPEG; ``None`` until its frame has passed by.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._overlay = Overlay(report, smooth=False, baseline="keep")
        listed = {report.tracks[number].person for number in rank_all(report)[:MAX_PEOPLE]}

        def people(frame: int) -> tuple[int, int]:
            marks = self._overlay.marks(frame)
            return sum(mark.person in listed for mark in marks), len(marks)

        self._frame = max(choose_keyframes(report), key=people)
        self.picture: str | None = None

    def add_frame(self, picture: DecodedFrame) -> None:
        """Draw the picture if this frame of the report's video is the one to show."""
        if picture.index != self._frame:
            return
        frame = upright_frame(picture, self._report.video)
        height, width = frame.image.shape[:2]
        image = shrink(
            frame.image, max(1, round(width * min(1.0, _SIDE / max(height, width))))
        ).copy()
        factor = image.shape[1] / width
        canvas = Canvas.from_rgb(image)
        marks = [_scaled(mark, factor) for mark in self._overlay.marks(self._frame)]
        Painter(Style(), canvas.encode, image.shape[0]).paint_boxes(canvas, marks)
        self.picture = data_url(image, _SIDE)

    @property
    def is_complete(self) -> bool:
        """Whether the frame has passed by."""
        return self.picture is not None


def _scaled(mark: Mark, factor: float) -> Mark:
    """Return a mark on a picture of another size, without what a label says of its heatmap."""
    x1, y1, x2, y2 = (
        factor * value for value in (mark.box.x1, mark.box.y1, mark.box.x2, mark.box.y2)
    )
    return replace(mark, box=Box(x1, y1, x2, y2), trust=None, specificity=None)
