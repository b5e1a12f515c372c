"""Make the pictures of the docs from the demo clip: ``python docs/make_pictures.py``.

Needs the published weights: ``fakelens models pull mesoinception4-df``.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

import fakelens
from fakelens.evaluation import demo
from fakelens.media.reader import open_video
from fakelens.records.arrays import RGBImage

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.browser import running_browser

IMAGES = Path(__file__).parent / "images"
FRAME = 60
TAMPERED = 2  # the number of the tampered person


def main() -> None:
    """Analyze the demo clip; keep an annotated frame, a hatched one, mean faces and the page."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        clip, results = Path(folder) / "demo.mp4", Path(folder) / "results"
        demo.make_clip(clip)
        fakelens.save_report(fakelens.analyze(clip), results)
        annotated = frame_of(results / "annotated.mp4")
        photograph(results)
        photograph_server(clip, Path(folder))
        means = cv2.imread(str(results / "mean_faces" / f"person-{TAMPERED}.png"))
        wrong = fakelens.analyze(clip, settings=fakelens.Settings(cam="gradcam++"), model=meso())
        fakelens.save_report(wrong, results, force=True)
        hatched = frame_of(results / "annotated.mp4")
    write("demo.jpg", annotated)
    write("hatched.jpg", hatched[:, hatched.shape[1] // 2 :])
    write("mean_face.jpg", np.ascontiguousarray(means[:, :, ::-1]))


def photograph(results: Path) -> None:
    """The page as a reader sees it: the video with the lanes, a card, and the blind review."""
    address = (results / "report.html").as_uri()
    with running_browser() as browser:
        page = browser.new_page(viewport={"width": 1100, "height": 1420})
        page.goto(address)
        page.wait_for_selector("html[data-ready=yes]")
        page.locator("#seek").fill(str(FRAME / 25))
        page.locator("input[value=both]").check()
        page.wait_for_timeout(1000)
        keep("report.jpg", page.screenshot())
        keep("report_card.jpg", page.locator(f"#person-{TAMPERED}").screenshot())
        page.goto(f"{address}#blind")
        page.wait_for_selector("html.blind[data-ready=yes]")
        page.wait_for_timeout(1000)
        keep("report_blind.jpg", page.screenshot())


def photograph_server(clip: Path, folder: Path) -> None:
    """The page of ``fakelens serve``: a result, and the clip being examined once more."""
    command = [sys.executable, "-m", "fakelens", "serve", "--port", "0", "--folder", folder / "web"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603
        assert server.stdout is not None
        address = server.stdout.readline().split()[-1]
        with running_browser() as browser:
            page = browser.new_page(viewport={"width": 1100, "height": 900})
            page.goto(address)
            page.set_input_files("input[type=file]", clip)
            page.wait_for_selector("text=Person 2", timeout=120_000)
            page.set_input_files("input[type=file]", clip)
            page.wait_for_selector("text=/[1-9][0-9] of 200/", timeout=60_000)
            keep("serve.jpg", page.screenshot(full_page=True))
        server.terminate()


def keep(name: str, png: bytes) -> None:
    """A screenshot, as JPEG, into the docs."""
    shot = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    write(name, np.ascontiguousarray(shot[:, :, ::-1]))


def meso() -> fakelens.Model:
    """On its flatten-and-dense head Grad-CAM++ does not show what the answer rests on."""
    return fakelens.load_model("mesoinception4-df")


def frame_of(video: Path) -> RGBImage:
    """The frame that is shown."""
    with open_video(video) as reader:
        return next(frame.image for frame in reader.frames() if frame.index == FRAME)


def write(name: str, image: RGBImage) -> None:
    """As JPEG, into the docs."""
    cv2.imwrite(str(IMAGES / name), image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])


if __name__ == "__main__":
    main()
