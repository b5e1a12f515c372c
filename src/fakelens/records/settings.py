"""Settings of an analysis."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

from fakelens.errors import UsageError
from fakelens.records.trust import Ablation

EXAMINE_EVERY = 2
"""Default interval between examined frames, in frames."""

AUTO_PER_SECOND = 5.0
"""Frames examined per second of video with ``--every auto``."""

Progress = Callable[[int, int | None], None]
"""Called with the number of steps (frames or faces) done, and the total if known."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of an analysis.

    Attributes:
        every: examine every n-th frame; boxes and heatmaps in between are interpolated. In a
            report, the value that was used, also if ``per_second`` was given.
        per_second: examine about this many frames per second instead; ``None`` uses ``every``.
        cam: heatmap method, a key of ``explain.cam.METHODS``; ``None`` uses the model's default.
        threshold: score from which a person is *likely fake*; ``None`` uses the model's.
        batch: number of crops per model call.
        trust: measure how far scores and heatmaps can be trusted.
        ablation: method used to test heatmap faithfulness, see ``trust.faithfulness``.
        stream: number of the video stream or page to examine, from 1; ``None`` chooses one.

    Raises:
        UsageError: a value is out of range.
    """

    every: int = EXAMINE_EVERY
    cam: str | None = None
    threshold: float | None = None
    batch: int = 8
    per_second: float | None = None
    trust: bool = True
    ablation: Ablation = "features"
    stream: int | None = None

    def __post_init__(self) -> None:
        if self.every < 1:
            raise UsageError(f"every must be 1 (each frame) or more, not {self.every}")
        if self.per_second is not None and not 0 < self.per_second < math.inf:
            raise UsageError(f"frames per second must be above 0, not {self.per_second:g}")
        if self.batch < 1:
            raise UsageError(f"the batch size must be 1 or more, not {self.batch}")
        if self.stream is not None and self.stream < 1:
            raise UsageError(f"streams are numbered from 1, so there is no stream {self.stream}")
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise UsageError(f"the threshold must lie between 0 and 1, not {self.threshold:g}")
        if self.ablation not in get_args(Ablation):
            known = ", ".join(get_args(Ablation))
            raise UsageError(f"no ablation {self.ablation!r}: choose one of {known}")
