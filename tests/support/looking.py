"""Ways to look at ``report.html`` in a browser, and at what is seen there.

The clips carry their frame's number in their pixels, so that what is shown can be told from the
picture alone.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Browser, Page

from fakelens.records.arrays import RGBImage
from fakelens.records.faces import Box
from support.browser import Watched
from support.media import read_number
from support.toys import FAKE, HEIGHT, REAL, WIDTH, Actor

FRAMES = 55
Area = tuple[int, int, int, int]


def show(browser: Browser, folder: Path, ending: str = "", **context: Any) -> Watched:
    """Open a report from disk and wait until it is ready."""
    context.setdefault("viewport", {"width": 1000, "height": 900})
    watched = Watched(browser, **context)
    watched.page.goto((folder / "report.html").as_uri() + ending)
    watched.page.wait_for_selector("html[data-ready=yes]", timeout=10_000)
    if watched.page.query_selector("video"):
        watched.page.wait_for_function(
            "() => document.querySelector('video').readyState >= 2 ||"
            " document.querySelector('video').error"
        )
    return watched


def screen(page: Page, width: int = WIDTH, height: int = HEIGHT) -> RGBImage:
    """What is seen of the video, (height, width, 3), at the video's own size."""
    page.wait_for_timeout(120)  # for the picture to be drawn
    data = np.frombuffer(page.locator("#screen").screenshot(), np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert image is not None
    return cv2.resize(image[:, :, ::-1], (width, height), interpolation=cv2.INTER_AREA)


def number_on(page: Page) -> int:
    """The number of the frame that is seen."""
    return read_number(screen(page))


def settle(page: Page) -> None:
    """Wait until a seek is over."""
    page.wait_for_timeout(20)
    page.wait_for_selector("#seek[aria-busy=false]")
    page.wait_for_timeout(60)


def seek(page: Page, seconds: float) -> None:
    page.locator("#seek").evaluate(
        "(bar, time) => { bar.value = time; bar.dispatchEvent(new Event('input')) }", seconds
    )
    settle(page)


def bare(page: Page) -> None:
    """No boxes, so that nothing but heatmaps lies over the video."""
    page.locator("#boxes").uncheck()


def changed(before: RGBImage, after: RGBImage) -> NDArray[np.bool_]:
    return (np.abs(before.astype(int) - after.astype(int)) > 12).any(axis=2)


def inside(area: Box | Area, shape: Sequence[int], margin: int = 0) -> NDArray[np.bool_]:
    mask = np.zeros(shape[:2], bool)
    x1, y1, x2, y2 = (area.x1, area.y1, area.x2, area.y2) if isinstance(area, Box) else area
    rows = slice(max(0, int(y1) - margin), int(y2) + margin)
    mask[rows, max(0, int(x1) - margin) : int(x2) + margin] = True
    return mask


def area_of(actor: Actor, number: int) -> Box:
    """What the model saw of an actor: 1.2 times the face, see ``builders.CARD``."""
    box = actor.box(number)
    assert box is not None
    reach = 0.1 * box.width
    return Box(box.x1 - reach, box.y1 - reach, box.x2 + reach, box.y2 + reach)


def seen_by_the_model(number: int) -> NDArray[np.bool_]:
    """Where anything may be drawn."""
    areas = [inside(area_of(actor, number), (HEIGHT, WIDTH), margin=3) for actor in (FAKE, REAL)]
    return np.logical_or(*areas)
