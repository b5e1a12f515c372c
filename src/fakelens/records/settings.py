"""What a caller may choose about an analysis."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

from fakelens.errors import UsageError
from fakelens.records.trust import Ablation

EXAMINE_EVERY = 2
"""Frames from one examined frame to the next, by default."""

AUTO_PER_SECOND = 5.0
"""Frames examined per second of video with ``--every auto``."""

Progress = Callable[[int, int | None], None]
"""Called with the number of steps (frames, faces) done and the total, if known."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the caller may choose about an analysis.

    Attributes:
        every: examine every n-th frame, while boxes and heatmaps of the others are interpolated;
            in a report, what ``per_second`` came to.
        per_second: examine about so many frames a second instead; ``None`` goes by ``every``.
        cam: heatmap method; ``None`` takes the one that suits the model.
        threshold: score from which a person is *likely fake*; ``None`` takes the model's.
        batch: crops in one call of the model.
        trust: measure how far scores and heatmaps can be trusted.
        ablation: how it is measured whether heatmaps are true to the model, see ``ablation``.

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

    def __post_init__(self) -> None:
        if self.every < 1:
            raise UsageError(f"every must be 1 (each frame) or more, not {self.every}")
        if self.per_second is not None and not 0 < self.per_second < math.inf:
            raise UsageError(f"frames a second must be above 0, not {self.per_second:g}")
        if self.batch < 1:
            raise UsageError(f"a batch holds 1 crop or more, not {self.batch}")
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise UsageError(f"the threshold is a score between 0 and 1, not {self.threshold:g}")
        if self.ablation not in get_args(Ablation):
            known = ", ".join(get_args(Ablation))
            raise UsageError(f"there is no ablation {self.ablation!r}: choose one of {known}")
