"""Helpers for tests of ``report.html`` in a browser, and of the pixels it shows.

The clips have the number of each frame in its pixels, so that a screenshot shows which frame it is.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from weakref import WeakKeyDictionary

import cv2
import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Browser, Page, ViewportSize

from fakelens.records.arrays import RGBImage
from fakelens.records.faces import Box
from support.browser import RecordedPage
from support.media import read_number
from support.toys import FAKE, HEIGHT, REAL, WIDTH, Actor

FRAMES = 55
"""Length of the clip of the fixture ``folder`` of ``tests/browser``."""

Area = tuple[int, int, int, int]


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def published(folder: Path) -> Iterator[str]:
    """Serve a folder on loopback, and return its address.

    For tests of what the browser stores: Chromium sometimes opens a page from disk with an empty
    storage of its own (3 of 100 reloads on a busy machine, none over HTTP).
    """
    handler = partial(_QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _ReusedPage(RecordedPage):
    """A page that shows another report once it is closed, which is quicker than a new context."""

    def __init__(self, browser: Browser) -> None:
        super().__init__(browser, viewport=_VIEWPORT)
        self._unused = _unused_pages.setdefault(browser, [])

    def close(self) -> None:
        self.page.emulate_media(media="screen")
        self.page.evaluate("localStorage.clear()")
        self.page.goto("about:blank")
        self.errors, self.requests = [], []
        self._unused.append(self)


_VIEWPORT: ViewportSize = {"width": 1000, "height": 900}
_unused_pages: WeakKeyDictionary[Browser, list[RecordedPage]] = WeakKeyDictionary()


def open_report(
    browser: Browser, place: Path | str, fragment: str = "", **context: Any
) -> RecordedPage:
    """Open a report in a folder or at an address, and wait until it is ready.

    Args:
        browser: to open it in.
        place: folder or address.
        fragment: of the address.
        context: options of a new browser context; without any, a closed page may be used again.
    """
    if context:
        recorded = RecordedPage(browser, **{"viewport": _VIEWPORT, **context})
    else:
        unused = _unused_pages.get(browser)
        recorded = unused.pop() if unused else _ReusedPage(browser)
    address = place if isinstance(place, str) else place.as_uri()
    recorded.page.goto(f"{address}/report.html{fragment}")
    recorded.page.wait_for_selector("html[data-ready=yes]", timeout=10_000)
    if recorded.page.query_selector("video"):
        recorded.page.wait_for_function(
            "() => document.querySelector('video').readyState >= 2 ||"
            " document.querySelector('video').error"
        )
    return recorded


def screenshot(page: Page, width: int = WIDTH, height: int = HEIGHT) -> RGBImage:
    """Return a screenshot of the video, (height, width, 3) RGB, scaled to the size of the clip."""
    page.wait_for_timeout(120)  # until the frame is drawn
    data = np.frombuffer(page.locator("#screen").screenshot(), np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert image is not None
    return cv2.resize(image[:, :, ::-1], (width, height), interpolation=cv2.INTER_AREA)


def number_on(page: Page) -> int:
    """Return the number of the frame shown."""
    return read_number(screenshot(page))


def wait_for_seek(page: Page) -> None:
    """Wait until a seek is complete."""
    page.wait_for_timeout(20)
    page.wait_for_selector("#seek[aria-busy=false]")
    page.wait_for_timeout(60)


def seek(page: Page, seconds: float) -> None:
    """Seek with the position slider, and wait until it is complete."""
    page.locator("#seek").evaluate(
        "(bar, time) => { bar.value = time; bar.dispatchEvent(new Event('input')) }", seconds
    )
    wait_for_seek(page)


def open_settings(page: Page) -> None:
    """Open the further settings of the heatmap, and its explanation."""
    page.locator("#more").evaluate("part => { part.open = true }")


def hide_boxes(page: Page) -> None:
    """Hide boxes and scores, so that only heatmaps are drawn on the video."""
    page.locator("#boxes").uncheck()


def changed(before: RGBImage, after: RGBImage) -> NDArray[np.bool_]:
    """Return a mask of the pixels that differ clearly."""
    return (np.abs(before.astype(int) - after.astype(int)) > 12).any(axis=2)


def inside(area: Box | Area, shape: Sequence[int], margin: int = 0) -> NDArray[np.bool_]:
    """Return a mask of an area, enlarged by a margin."""
    mask = np.zeros(shape[:2], bool)
    x1, y1, x2, y2 = (area.x1, area.y1, area.x2, area.y2) if isinstance(area, Box) else area
    rows = slice(max(0, int(y1) - margin), int(y2) + margin)
    mask[rows, max(0, int(x1) - margin) : int(x2) + margin] = True
    return mask


def crop_area_of(actor: Actor, number: int) -> Box:
    """Return the area of an actor's face crop: 1.2 times the face, see ``builders.CARD``."""
    box = actor.box(number)
    assert box is not None
    margin = 0.1 * box.width
    return Box(box.x1 - margin, box.y1 - margin, box.x2 + margin, box.y2 + margin)


def face_crop_areas(number: int) -> NDArray[np.bool_]:
    """Return a mask of the areas where heatmaps may be drawn."""
    areas = [
        inside(crop_area_of(actor, number), (HEIGHT, WIDTH), margin=3) for actor in (FAKE, REAL)
    ]
    return np.logical_or(*areas)
