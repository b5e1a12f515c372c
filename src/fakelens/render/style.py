"""How heatmaps and boxes are drawn."""

from dataclasses import dataclass
from typing import Literal

from fakelens.errors import UsageError

COLORMAPS = ("inferno", "magma", "hot", "turbo", "jet", "viridis")
"""Names of OpenCV's colour maps that evidence for fake can be drawn in."""


@dataclass(frozen=True, slots=True)
class Style:
    """How to draw.

    Attributes:
        colormap: a key of ``COLORMAPS``, for evidence of fake; evidence of real is blue.
        opacity: 0..1, of the strongest evidence.
        evidence: which sign of the heatmap to draw.
        contour: outline the strong areas instead of colouring them.
        smooth: steady heatmaps and scores over time.
        side_by_side: the untouched picture to the left of the drawn one.

    Raises:
        UsageError: a value is out of range.
    """

    colormap: str = "inferno"
    opacity: float = 0.6
    evidence: Literal["fake", "real", "both"] = "fake"
    contour: bool = False
    smooth: bool = True
    side_by_side: bool = False

    def __post_init__(self) -> None:
        if self.colormap not in COLORMAPS:
            known = ", ".join(COLORMAPS)
            raise UsageError(f"no colour map is called {self.colormap!r}; there are {known}")
        if not 0 <= self.opacity <= 1:
            raise UsageError(f"the opacity lies between 0 and 1, not at {self.opacity:g}")
        if self.evidence not in ("fake", "real", "both"):
            raise UsageError(f"evidence is fake, real or both, not {self.evidence!r}")
