"""A real browser for tests: the installed Chromium, or the one of playwright."""

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
# Without connections to the vendor's servers; without a sandbox, because tests may run as root.
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
    """Start Chromium without a window; skip the test if it is not installed."""
    with sync_playwright() as playwright:
        installed = next(filter(None, map(shutil.which, _NAMES)), None)
        own = Path(playwright.chromium.executable_path)
        if not installed and not own.exists():
            pytest.skip("no Chromium on this machine: install it, or run 'playwright install'")
        browser = playwright.chromium.launch(executable_path=installed or own, args=_ARGUMENTS)
        yield browser
        browser.close()


class RecordedPage:
    """A page whose errors and requests are recorded.

    Attributes:
        page: the page, as playwright's object.
        errors: errors and warnings on the console, and uncaught exceptions.
        requests: URLs of all requests.
    """

    def __init__(self, browser: Browser, **context: Any) -> None:
        self._context = browser.new_context(**context)
        self.page: Page = self._context.new_page()
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", self._record_message)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def _record_message(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(message.text)

    def hosts(self) -> set[str]:
        """Return the hosts of all requests; those for files and data have none."""
        return {urlsplit(url).hostname or "" for url in self.requests} - {""}

    def close(self) -> None:
        """Close the page and its browser context."""
        self._context.close()


def accessibility_findings(page: Page) -> list[str]:
    """Return the serious and critical problems that axe-core finds."""
    # Evaluated, because the page's content security policy forbids adding a script.
    page.evaluate(_AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run()")
    return [
        f"{violation['id']}: {node['html']}: {node['failureSummary']}"
        for violation in found["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]
