"""A person's own review of a video, kept beside the machine's answer in ``report.html``.

A review may be *blind first*: the reviewer marks what looks suspicious before the page shows what
the model says, so that the answer cannot lead the eye. Both stay in the page afterwards.
"""

import json
import re
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

_BLOCK = re.compile(r'(<script type="application/json" id="review">)[^<]*(</script>)')
_POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">')

Seconds = Annotated[float, Field(ge=0, le=1e7, description="seconds into the video")]
Moment = Annotated[
    str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", description="ISO 8601, UTC")
]
Notes = Annotated[str, Field(max_length=20_000)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Suspicion(_Model):
    """A stretch of time that looked suspicious to the reviewer."""

    person: Annotated[int | None, Field(ge=1, le=10**9, description="null: the whole picture")]
    start: Seconds
    end: Seconds
    note: Annotated[str, Field(max_length=2000)] = ""

    @model_validator(mode="after")
    def _is_in_order(self) -> Self:
        if self.end < self.start:
            raise PydanticCustomError("order", "it ends before it starts")
        return self


class Review(_Model):
    """What a reviewer made of a video.

    What was said before the answer was uncovered does not change afterwards; ``notes`` may.
    """

    version: Literal[1] = 1
    video_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="of the video")]
    reviewer: Annotated[str, Field(max_length=200)] = ""
    blind: Annotated[
        bool, Field(description="marked before the page showed the answer, as far as it can know")
    ]
    opinion: Literal["manipulated", "genuine", "cannot tell"] | None = None
    suspicions: Annotated[tuple[Suspicion, ...], Field(max_length=500)] = ()
    uncovered: Annotated[
        Moment | None, Field(description="when the machine's answer was shown")
    ] = None
    notes: Notes = ""
    saved: Moment


def embed(page: str, review: Review | None, *, save_to: str | None = None) -> str:
    """Put a review into a page that ``write_page`` made.

    Args:
        page: HTML.
        review: replaces the one that is there.
        save_to: address, relative to the page, that takes the review as JSON by PUT; ``None`` for
            a page that is opened from disk, which offers a copy of itself to be kept instead.

    Raises:
        ValueError: it is not such a page.
    """
    saved = "null" if review is None else review.model_dump_json()
    # Within a script element nothing but "<" could end it.
    block = f'{{"save_to":{json.dumps(save_to)},"review":{saved}}}'.replace("<", "\\u003c")
    changed, places = _BLOCK.subn(lambda found: found[1] + block + found[2], page)
    if places != 1:
        raise ValueError("not a page of a report: it has no place for a review")
    return changed


def content_policy(page: str) -> str:
    """The content security policy that a page carries, for the header of a server.

    Raises:
        ValueError: it carries none.
    """
    found = _POLICY.search(page)
    if not found:
        raise ValueError("not a page of a report: it carries no content security policy")
    return found[1].replace("&#39;", "'")
