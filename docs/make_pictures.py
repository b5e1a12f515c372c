"""Make the pictures of the documentation from the demo clip: ``python docs/make_pictures.py``.

Needs the extra ``browser-test`` and Chromium, and for ``hatched.jpg`` published weights:
``fakelens models pull mesoinception4-df``. Without them that picture stays as it is.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

import fakelens
from fakelens.errors import WeightsMissingError
from fakelens.evaluation import demo
from fakelens.media.reader import open_video
from fakelens.records.arrays import RGBImage

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.browser import running_browser

IMAGES = Path(__file__).parent / "images"
FRAME = 60
FORGED = 2  # number of the person with the forged face


def main() -> None:
    """Analyze the demo clip; save an annotated frame, mean faces and screenshots of the pages."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        clip, results = Path(folder) / "demo.mp4", Path(folder) / "results"
        demo.make_clip(clip)
        fakelens.save_report(fakelens.analyze(clip), results)
        annotated = frame_of(results / "annotated.mp4")
        capture_report(results)
        capture_server(clip, Path(folder))
        means = cv2.imread(str(results / "mean_faces" / f"person-{FORGED}.png"))
        write("demo.jpg", annotated)
        write("mean_face.jpg", np.ascontiguousarray(means[:, :, ::-1]))
        draw_hatched(clip, results)


def draw_hatched(clip: Path, results: Path) -> None:
    """Save a heatmap that is not better than chance.

    With Grad-CAM++ on MesoNet's flatten-and-dense head, heatmaps do not show what the score depends
    on.
    """
    try:
        model = fakelens.load_model("mesoinception4-df")
    except WeightsMissingError as error:
        print(f"hatched.jpg was not made: {error}", file=sys.stderr)
        return
    report = fakelens.analyze(clip, settings=fakelens.Settings(cam="gradcam++"), model=model)
    fakelens.save_report(report, results, force=True)
    hatched = frame_of(results / "annotated.mp4")
    write("hatched.jpg", hatched[:, hatched.shape[1] // 2 :])


def capture_report(results: Path) -> None:
    """Save screenshots of the report: the video with the lanes, a card, and the blind review."""
    address = (results / "report.html").as_uri()
    with running_browser() as browser:
        page = browser.new_page(viewport={"width": 1100, "height": 1420})
        page.goto(address)
        page.wait_for_selector("html[data-ready=yes]")
        page.locator("#seek").fill(str(FRAME / 25))
        page.locator("#more > summary").click()
        page.locator("input[value=both]").check()
        page.wait_for_timeout(1000)
        save_screenshot("report.jpg", page.screenshot())
        save_screenshot("report_card.jpg", page.locator(f"#person-{FORGED}").screenshot())
        page.set_viewport_size({"width": 390, "height": 844})
        page.reload()
        page.wait_for_selector("html[data-ready=yes]")
        page.evaluate("scrollTo(0, 0)")
        page.wait_for_timeout(1000)
        save_screenshot("report_phone.jpg", page.screenshot())
        page.set_viewport_size({"width": 794, "height": 1123})  # A4
        page.emulate_media(media="print")
        save_screenshot("report_paper.jpg", page.locator(".first-page").screenshot())
        page.emulate_media(media="screen")
        page.set_viewport_size({"width": 1100, "height": 1420})
        page.goto(f"{address}#blind")
        page.wait_for_selector("html.blind[data-ready=yes]")
        page.wait_for_timeout(1000)
        save_screenshot("report_blind.jpg", page.screenshot())


def capture_server(clip: Path, folder: Path) -> None:
    """Save a screenshot of ``fakelens serve`` with a result and a running job."""
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
            save_screenshot("serve.jpg", page.screenshot(full_page=True))
        server.terminate()


def save_screenshot(name: str, png: bytes) -> None:
    """Save a screenshot as JPEG."""
    shot = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    write(name, np.ascontiguousarray(shot[:, :, ::-1]))


def frame_of(video: Path) -> RGBImage:
    """Return the frame that the pictures show."""
    with open_video(video) as reader:
        return next(frame.image for frame in reader.frames() if frame.index == FRAME)


def write(name: str, image: RGBImage) -> None:
    """Save a picture as JPEG in the folder of the documentation."""
    cv2.imwrite(str(IMAGES / name), image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])


if __name__ == "__main__":
    main()
