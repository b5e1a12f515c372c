"""A real browser for tests: the one that is installed, or the one that playwright keeps."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# No talk with the maker's servers; no sandbox, since tests may run as root.
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]
_AXE = Path(axe_playwright_python.__file__).parent / "axe.min.js"


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Chromium without a window; skips the test if there is none."""
    with sync_playwright() as playwright:
        installed = next(filter(None, map(shutil.which, _NAMES)), None)
        own = Path(playwright.chromium.executable_path)
        if not installed and not own.exists():
            pytest.skip("no Chromium on this machine: install it, or run 'playwright install'")
        browser = playwright.chromium.launch(executable_path=installed or own, args=_ARGUMENTS)
        yield browser
        browser.close()


class Watched:
    """A page whose complaints and requests are noted.

    Attributes:
        page: playwright's.
        complaints: errors and warnings on the console, and uncaught exceptions.
        requests: addresses of all that was asked for.
    """

    def __init__(self, browser: Browser, **context: Any) -> None:
        self._context = browser.new_context(**context)
        self.page: Page = self._context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def _hear(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def hosts(self) -> set[str]:
        """Hosts of all requests; those for files and data have none."""
        return {urlsplit(address).hostname or "" for address in self.requests} - {""}

    def close(self) -> None:
        """Close the page and what belongs to it."""
        self._context.close()


def accessibility_findings(page: Page) -> list[str]:
    """What axe-core finds of serious or critical problems."""
    # Evaluated, not added as a script, which the page's content security policy forbids.
    page.evaluate(_AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run()")
    return [
        f"{violation['id']}: {node['html']}: {node['failureSummary']}"
        for violation in found["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]
