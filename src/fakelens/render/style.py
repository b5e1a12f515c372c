"""The style of heatmaps and boxes."""

from dataclasses import dataclass
from typing import Literal, get_args

from fakelens.errors import UsageError

COLORMAPS = ("inferno", "magma", "hot", "turbo", "jet", "viridis")
"""Colour maps for evidence for fake, by OpenCV's names."""

BaselineChoice = Literal["subtract", "keep"]
"""Whether what a model shows on genuine faces is subtracted from heatmaps, see ``Specificity``."""


@dataclass(frozen=True, slots=True)
class Style:
    """The style of heatmaps and boxes.

    Attributes:
        colormap: one of ``COLORMAPS``, for evidence for fake; evidence for real is blue.
        opacity: of the strongest evidence, 0..1.
        evidence: draw evidence for fake, for real, or both.
        contour: draw only the isolines of heatmaps, without colours.
        smooth: smooth heatmaps and scores over time.
        side_by_side: put the untouched picture to the left of the drawn one.
        baseline: draw only what exceeds the model's heatmaps on genuine faces (``"subtract"``), or
            the whole heatmap (``"keep"``). Without a baseline the whole heatmap is drawn.

    Raises:
        UsageError: a value is out of range.
    """

    colormap: str = "inferno"
    opacity: float = 0.6
    evidence: Literal["fake", "real", "both"] = "fake"
    contour: bool = False
    smooth: bool = True
    side_by_side: bool = False
    baseline: BaselineChoice = "subtract"

    def __post_init__(self) -> None:
        if self.colormap not in COLORMAPS:
            known = ", ".join(COLORMAPS)
            raise UsageError(f"no colour map {self.colormap!r}: choose one of {known}")
        if not 0 <= self.opacity <= 1:
            raise UsageError(f"the opacity must lie between 0 and 1, not {self.opacity:g}")
        if self.evidence not in ("fake", "real", "both"):
            raise UsageError(f"evidence must be fake, real or both, not {self.evidence!r}")
        if self.baseline not in get_args(BaselineChoice):
            raise UsageError(f"baseline must be subtract or keep, not {self.baseline!r}")
