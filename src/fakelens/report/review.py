"""Reviews: a person's own assessment of a video, stored in ``report.html``.

In a *blind* review, the reviewer marks what looks suspicious before the page shows the result of
the analysis, so that the result cannot influence them. The page keeps both. A result can have the
reviews of several people, each of which may be blind.
"""

import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

_REVIEW_ELEMENT = re.compile(r'(<script type="application/json" id="review">)[^<]*(</script>)')
_NO_LINKS: Mapping[str, str] = MappingProxyType({})
_HEADER = re.compile(r'<header class="top">\n?')
_POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">')

Seconds = Annotated[float, Field(ge=0, le=1e7, description="seconds into the video")]
Moment = Annotated[
    str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", description="ISO 8601, UTC")
]
Opinion = Literal["manipulated", "genuine", "cannot tell"] | None
Notes = Annotated[str, Field(max_length=20_000)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Suspicion(_Model):
    """A span of time that the reviewer marked as suspicious."""

    person: Annotated[int | None, Field(ge=1, le=10**9, description="null: the whole picture")]
    start: Seconds
    end: Seconds
    note: Annotated[str, Field(max_length=2000)] = ""

    @model_validator(mode="after")
    def _is_in_order(self) -> Self:
        if self.end < self.start:
            raise PydanticCustomError("order", "the span ends before it starts")
        return self


class Review(_Model):
    """A reviewer's assessment of a video.

    Once the result of the analysis has been revealed, only ``notes`` may change. A server sets
    ``revision``, ``uncovered`` and ``saved`` itself, and accepts a review only if it was made from
    the revision that the server has, or names no revision, as those of earlier versions.
    """

    version: Literal[1] = 1
    id: Annotated[
        str | None,
        Field(
            pattern=r"^[0-9a-f]{32}$",
            description="random, to tell reviews apart; null in reviews of earlier versions",
        ),
    ] = None
    revision: Annotated[
        int | None, Field(ge=0, lt=2**53, description="how often a server has saved the review")
    ] = None
    video_sha256: Annotated[
        str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the video")
    ]
    reviewer: Annotated[str, Field(max_length=200)] = ""
    blind: Annotated[
        bool,
        Field(description="marked before the page showed the result, as far as the page can know"),
    ]
    opinion: Opinion = None
    suspicions: Annotated[tuple[Suspicion, ...], Field(max_length=500)] = ()
    uncovered: Annotated[Moment | None, Field(description="when the result was revealed")] = None
    notes: Notes = ""
    saved: Moment


def embed(
    page: str,
    reviews: Sequence[Review],
    *,
    save_to: str | None = None,
    links: Mapping[str, str] = _NO_LINKS,
) -> str:
    """Return a report page with reviews in it.

    The page opens the review that its browser began. If there is none, it opens the one without an
    id, which pages of earlier versions wrote, or else a new one.

    Args:
        page: HTML that ``write_page`` wrote.
        reviews: replace those in the page; at most one has no id.
        save_to: URL, relative to the page, to which the page sends a review as JSON by PUT;
            ``None`` for a page opened from disk, which offers a copy of itself for download.
        links: pages of the server, for links at the top of the page: URL by text.

    Raises:
        ValueError: the HTML is not a report page.
    """
    documents = [review.model_dump(mode="json") for review in reviews]
    block = {
        "save_to": save_to,
        "review": next((one for one in documents if one["id"] is None), None),
        "others": [one for one in documents if one["id"] is not None],
    }
    # Only "<" could end the script element.
    content = json.dumps(block, separators=(",", ":")).replace("<", "\\u003c")
    changed, count = _REVIEW_ELEMENT.subn(lambda found: found[1] + content + found[2], page)
    if count != 1:
        raise ValueError("not a report page: it has no element for a review")
    if links:
        # The page removes this line from the copies of itself that it saves.
        shown = " ".join(
            f'<a href="{escape(url)}">{escape(text)}</a>' for text, url in links.items()
        )
        link = f'<p class="actions" id="home">{shown}</p>\n'
        changed = _HEADER.sub(lambda found: found[0] + link, changed, count=1)
    return changed


def content_policy(page: str) -> str:
    """Return the content security policy of a report page, for use as an HTTP header.

    Raises:
        ValueError: the page has none.
    """
    found = _POLICY.search(page)
    if not found:
        raise ValueError("not a report page: it has no content security policy")
    return found[1].replace("&#39;", "'")
