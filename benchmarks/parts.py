"""Measure the processor time of each part of an analysis, run one after the other."""

import argparse
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

import av
import numpy as np

from fakelens.analysis.face_crops import DETECT_EVERY, FULL_SEARCH_SECONDS
from fakelens.analysis.pipeline import analyze
from fakelens.faces.crops import crop_area, extract_crop
from fakelens.faces.quality import sharpness
from fakelens.faces.tracking import track_faces
from fakelens.faces.yunet import YuNet
from fakelens.media.pixels import planes
from fakelens.media.planes import Planes
from fakelens.media.reader import open_video
from fakelens.media.shots import with_shot_changes
from fakelens.models.loading import load_model
from fakelens.models.registry import DEFAULT
from fakelens.render.overlay import Overlay
from fakelens.render.painter import Canvas, Painter
from fakelens.render.style import Style

_BATCH = 8

T = TypeVar("T")


def timed(name: str, frames: int, work: Callable[[], T]) -> T:
    """Run ``work`` and print its milliseconds of processor time per frame, over all cores."""
    began = time.process_time()
    result = work()
    print(f"| {name} | {1000 * (time.process_time() - began) / frames:.1f} |", flush=True)
    return result


def paint(frames: Sequence[av.VideoFrame], overlay: Overlay) -> None:
    """Draw on frames in yuv420p, as in the annotated video."""
    painter: Painter | None = None
    for index, frame in enumerate(frames):
        y, u, v = planes(frame)
        encode = Planes(y, u, v, "bt709", full_range=False).encode
        painter = painter or Painter(Style(), encode, y.shape[0])
        painter.paint(Canvas((y, u, v), encode), overlay.marks(index))


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path, help="8-bit video with a face on every frame")
    parser.add_argument("--frames", type=int, default=150, help="frames measured")
    options = parser.parse_args()
    model, detector = load_model(DEFAULT), YuNet()
    model.examine(np.zeros((_BATCH, *[model.card.input_size] * 2, 3), np.uint8))
    print("| part | ms a frame |")
    print("|---|---|")
    with open_video(options.clip) as reader:
        frames = list(islice(reader.frames(), options.frames))
    count = len(frames)
    with open_video(options.clip) as reader:
        # As in the pipeline, frames are not kept, so that their memory is reused.
        timed("decode", count, lambda: sum(1 for _ in islice(reader.frames(), count)))
    timed("shot changes", count, lambda: list(with_shot_changes(frames)))
    tracked = timed(
        "shot changes, detection, tracking",
        count,
        lambda: list(
            track_faces(
                with_shot_changes(frames),
                detector,
                every=DETECT_EVERY,
                full_search_seconds=FULL_SEARCH_SECONDS,
            )
        ),
    )
    card = model.card
    faces = [(item.frame, one.face) for item in tracked for one in item.faces]
    crops = timed(
        "crops",
        count,
        lambda: [
            extract_crop(f.pixels, crop_area(face, card.crop), card.input_size) for f, face in faces
        ],
    )
    timed("sharpness", count, lambda: [sharpness(crop) for crop in crops])
    batches = [np.stack(crops[i : i + _BATCH]) for i in range(0, len(crops), _BATCH)]
    timed("model", count, lambda: [model.examine(batch) for batch in batches])
    overlay = Overlay(analyze(options.clip, model=model, detector=detector))
    with av.open(str(options.clip)) as container:
        drawn = [
            frame.reformat(format="yuv420p")
            for frame in islice(container.decode(container.streams.video[0]), count)
        ]
    timed("drawing", count, lambda: paint(drawn, overlay))


if __name__ == "__main__":
    main()
