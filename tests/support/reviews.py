"""Reviews for tests of the report page and of the server."""

import json
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

Mark = tuple[int | None, float, float]


def make_review(sha256: str, reviewer: str, opinion: str, *marks: Mark, **more: Any) -> Any:
    """Return a finished blind review as JSON; its id consists of the first letter of the name."""
    return {
        "version": 1,
        "id": f"{ord(reviewer[0]):032x}",
        "revision": 0,
        "video_sha256": sha256,
        "reviewer": reviewer,
        "blind": True,
        "opinion": opinion,
        "suspicions": [
            {"person": person, "start": start, "end": end, "note": ""}
            for person, start, end in marks
        ],
        "uncovered": "2026-01-01T00:00:00Z",
        "notes": "",
        "saved": "2026-01-01T00:00:00Z",
    } | more


def input_sha256(folder: Path) -> str:
    """Return the SHA-256 of the input of a report."""
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return str(report["provenance"]["input_sha256"])


def mark(page: Page, person: int, start: float, end: float) -> None:
    """Add a mark with the fields of the form."""
    page.select_option("#mark-person", str(person))
    page.fill("#mark-start", str(start))
    page.fill("#mark-end", str(end))
    page.get_by_role("button", name="Add mark").click()


def reveal(page: Page) -> None:
    """Reveal the result of a blind review."""
    page.get_by_role("button", name="Reveal the result").click()
