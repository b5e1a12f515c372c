"""The list of jobs: what is searched, and the order.

A damaged row must not stop a search, so the functions that SQLite calls accept any bytes.
"""

import json
import re
import sqlite3
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fakelens.records.findings import Verdict

_MAX_DIGITS = 12


class Sort(StrEnum):
    """Order of the list of jobs."""

    NEWEST = "newest"
    SUSPICIOUS = "suspicious"
    NAME = "name"


_NEWEST = "created DESC, turn DESC"
_ORDERS = {
    Sort.NEWEST: _NEWEST,
    Sort.SUSPICIOUS: f"suspicion(state, CAST(summary AS BLOB)) DESC, {_NEWEST}",
    Sort.NAME: f"name_key(CAST(name AS BLOB)), {_NEWEST}",
}


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of the list of jobs.

    Attributes:
        limit: most jobs on the page.
        offset: number of jobs to skip.
        query: text to find in names, verdicts and SHA-256; empty for all jobs.
        sort: order of the jobs.
        blind: do not search verdicts.
    """

    limit: int
    offset: int = 0
    query: str = ""
    sort: Sort = Sort.NEWEST
    blind: bool = False

    def condition(self) -> tuple[str, tuple[object, ...]]:
        """Return the condition in SQL and its values."""
        query = _fold(self.query)
        if not query:
            return "TRUE", ()
        call = "matches(?, CAST(name AS BLOB), CAST(summary AS BLOB), ?)"
        return call, (query, self.blind)

    def order(self) -> str:
        """Return the order in SQL."""
        return _ORDERS[self.sort]


def register(connection: sqlite3.Connection) -> None:
    """Add the functions that listings need to a connection."""
    connection.create_function("matches", 4, _matches, deterministic=True)
    connection.create_function("suspicion", 2, _suspicion, deterministic=True)
    connection.create_function("name_key", 1, _name_key, deterministic=True)


def _matches(query: str, name: bytes | None, summary: bytes | None, blind: int) -> bool:
    if query in _fold(_decode(name)):
        return True
    found = _parse(summary)
    if query in _text(found.get("video_sha256")):
        return True
    return not blind and any(
        query in _text(person.get(words))
        for person in _persons(found)
        for words in ("verdict", "answer")
    )


def _suspicion(state: object, summary: bytes | None) -> float | None:
    """Return a sort key: verdict first, then the score of the most suspicious person."""
    found = _parse(summary)
    persons = _persons(found)
    suspects = [person for person in persons if person.get("person") == found.get("suspect")]
    keys = [
        score + (person.get("verdict") == Verdict.FAKE)
        for person in suspects or persons
        # SQLite cannot take larger integers and would stop the search.
        if isinstance(score := person.get("score"), float | int) and 0 <= score <= 1
    ]
    return max(keys, default=None) if state == "done" else None


def _name_key(name: bytes | None) -> str:
    """Return a sort key: "clip 9" before "clip 10", in any case."""
    return re.sub(r"\d+", lambda digits: digits[0].zfill(_MAX_DIGITS), _fold(_decode(name)))


def _fold(text: str) -> str:
    return unicodedata.normalize("NFC", text.strip()).casefold()


def _decode(data: bytes | None) -> str:
    return (data or b"").decode("utf-8", "replace")


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _parse(summary: bytes | None) -> dict[str, Any]:
    try:
        found = json.loads(summary or b"{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _persons(summary: dict[str, Any]) -> list[dict[str, Any]]:
    persons = summary.get("persons")
    return [each for each in persons if isinstance(each, dict)] if isinstance(persons, list) else []
