"""Make the pictures of the docs from the demo clip: ``python docs/make_pictures.py``."""

import tempfile
from pathlib import Path

import cv2

import fakelens
from fakelens import demo
from fakelens.video import open_video

IMAGES = Path(__file__).parent / "images"
FRAME = 60


def main() -> None:
    """Analyze the demo clip and keep one annotated frame."""
    with tempfile.TemporaryDirectory() as folder:
        clip, results = Path(folder) / "demo.mp4", Path(folder) / "results"
        demo.make_clip(clip)
        fakelens.save_report(fakelens.analyze(clip), results)
        with open_video(results / "annotated.mp4") as reader:
            frame = next(frame for frame in reader.frames() if frame.index == FRAME)
    IMAGES.mkdir(exist_ok=True)
    quality = [cv2.IMWRITE_JPEG_QUALITY, 85]
    cv2.imwrite(str(IMAGES / "demo.jpg"), frame.image[:, :, ::-1], quality)


if __name__ == "__main__":
    main()
