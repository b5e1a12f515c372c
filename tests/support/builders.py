"""Builds small tracks and reports, for tests without a video."""

from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from fakelens.analysis.verdicts import judge_track
from fakelens.explain.heatmaps import HeatmapStore
from fakelens.records.faces import CropGeometry
from fakelens.records.media import VideoInfo
from fakelens.records.models import ModelCard, Thresholds
from fakelens.records.report import Provenance, Report
from fakelens.records.settings import Settings
from fakelens.records.tracks import Track

THRESHOLDS = Thresholds(fake=0.6, real=0.4, source="made up")

CARD = ModelCard(
    name="toy",
    version="1",
    description="A toy.",
    licence="none",
    source="nowhere",
    input_size=32,
    crop=CropGeometry("box", 1.2),
    layer="last",
    cam="hirescam",
    polarity="1 = fake",
    thresholds=THRESHOLDS,
    trained_on="nothing",
    limits=("It knows nothing.",),
)

INFO = VideoInfo(
    width=200,
    height=100,
    rotation=0,
    rate=Fraction(25),
    time_base=Fraction(1, 12800),
    start=Fraction(0),
    frame_estimate=100,
    duration=Fraction(4),
    codec="h264",
    pixel_format="yuv420p",
    is_picture=False,
    audio=("aac",),
)


def make_track(
    logits: ArrayLike,
    *,
    person: int = 1,
    rate: float = 25,
    every: int = 1,
    first: int = 0,
    quality_flags: ArrayLike = 0,
    heatmaps: ArrayLike | None = None,
    peaks: ArrayLike = 1,
    box: tuple[float, float, float, float] = (40, 20, 80, 70),
    drift: float = 0,
) -> Track:
    """Build the track of a person seen on every ``every``-th frame.

    Args:
        logits: one per observation.
        person: number of the person.
        rate: frames per second.
        every: interval between observations, frames.
        first: frame of the first observation.
        quality_flags: one for all observations, or one per observation.
        heatmaps: rows; by default 0, 1, 2, ...
        peaks: one for all observations, or one per observation.
        box: of the first observation; also its area.
        drift: movement to the right, pixels per observation.
    """
    values = np.asarray(logits, dtype=np.float32)
    n = len(values)
    frames = first + every * np.arange(n)
    boxes = np.tile(np.float32(box), (n, 1)) + np.arange(n)[:, None] * np.float32([drift, 0] * 2)
    return Track(
        person=person,
        frames=frames.astype(np.int64),
        times=frames / rate,
        boxes=boxes.astype(np.float32),
        areas=boxes.astype(np.float32),
        landmarks=np.full((n, 5, 2), np.nan, dtype=np.float32),
        confidences=np.ones(n, dtype=np.float32),
        detected=np.ones(n, dtype=np.bool_),
        sharpness=np.ones(n, dtype=np.float32),
        quality_flags=np.broadcast_to(np.asarray(quality_flags, dtype=np.uint8), n).copy(),
        logits=values,
        heatmaps=np.arange(n) if heatmaps is None else np.asarray(heatmaps, dtype=np.int64),
        peaks=np.broadcast_to(np.asarray(peaks, dtype=np.float32), n).copy(),
    )


def make_report(
    *tracks: Track,
    maps: ArrayLike,
    source: Path = Path("clip.mp4"),
    every: int = 1,
    cam: str = "hirescam",
    info: VideoInfo = INFO,
) -> Report:
    """Build a report of some tracks, with heatmaps (rows, h, w)."""
    store = HeatmapStore()
    store.append(np.asarray(maps, dtype=np.float32))
    return Report(
        source=source,
        video=info,
        frames=100,
        damage=(),
        model=CARD,
        settings=Settings(every=every),
        cam=cam,
        thresholds=THRESHOLDS,
        tracks=tracks,
        findings=tuple(judge_track(track, THRESHOLDS, still=info.is_picture) for track in tracks),
        heatmaps=store,
        provenance=Provenance("clip.mp4", "0" * 64, 1, "1" * 64, "toy", {}, "a machine", "now"),
    )
