"""What the page shows besides the report itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fakelens.report.keyframes import Keyframe
from fakelens.report.source_video import Timing


@dataclass(frozen=True, slots=True)
class PageFiles:
    """Files and pictures that the page shows besides the report itself.

    Attributes:
        video: URL of the original video, relative to the page; ``None`` if the page has no player.
        copied: whether ``video`` is a file of the results, and not the input itself.
        exact: whether ``video`` is an exact copy of the input, or the input itself.
        timing: frame timestamps of ``video``.
        unplayable: whether there is no video because browsers cannot play the input.
        faces: JPEG of face crops, as in ``portraits.Portraits``.
        notes: sentences on how the videos differ from the input.
        lost: why the input could not be read again, if so.
        keyframes: pictures of whole frames.
        scene: data URL of a frame with boxes and verdicts, for paper; ``None`` for a picture or
            without faces.
    """

    video: str | None = None
    copied: bool = False
    exact: bool = False
    timing: Timing | None = None
    unplayable: bool = False
    faces: Mapping[int, Mapping[int, bytes]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    lost: str | None = None
    keyframes: tuple[Keyframe, ...] = ()
    scene: str | None = None
