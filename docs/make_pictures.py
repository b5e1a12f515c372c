"""Make the pictures of the docs from the demo clip: ``python docs/make_pictures.py``."""

import tempfile
from pathlib import Path

import cv2
import numpy as np

import fakelens
from fakelens import demo
from fakelens.data import RGBImage
from fakelens.video import open_video

IMAGES = Path(__file__).parent / "images"
FRAME = 60
TAMPERED = 2  # the number of the tampered person


def main() -> None:
    """Analyze the demo clip, keep an annotated frame, a hatched one, and the mean faces."""
    with tempfile.TemporaryDirectory() as folder:
        clip, results = Path(folder) / "demo.mp4", Path(folder) / "results"
        demo.make_clip(clip)
        fakelens.save_report(fakelens.analyze(clip), results)
        annotated = frame_of(results / "annotated.mp4")
        means = cv2.imread(str(results / "mean_faces" / f"person-{TAMPERED}.png"))
        wrong = fakelens.analyze(clip, settings=fakelens.Settings(cam="gradcam++"), network=meso())
        fakelens.save_report(wrong, results, force=True)
        hatched = frame_of(results / "annotated.mp4")
    IMAGES.mkdir(exist_ok=True)
    write("demo.jpg", annotated)
    write("hatched.jpg", hatched[:, hatched.shape[1] // 2 :])
    write("mean_face.jpg", np.ascontiguousarray(means[:, :, ::-1]))


def meso() -> fakelens.Network:
    """On its flatten-and-dense head Grad-CAM++ does not show what the answer rests on."""
    return fakelens.load_network("fakelens-meso")


def frame_of(video: Path) -> RGBImage:
    """The frame that is shown."""
    with open_video(video) as reader:
        return next(frame.image for frame in reader.frames() if frame.index == FRAME)


def write(name: str, image: RGBImage) -> None:
    """As JPEG, into the docs."""
    cv2.imwrite(str(IMAGES / name), image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])


if __name__ == "__main__":
    main()
