"""``CASE.toml``: what the examiner states about a case; nothing in it comes from the analysis.

::

    [case]
    number = "2026-0417"
    issue = 1                    # number of this issue of the report
    received = 2026-04-17
    issued = 2026-04-20
    examiner = "A. Examiner"
    question = "Was the face of the speaker replaced?"

    [item]
    exhibit = "AB/1"
    received_how = "USB stick, sealed bag 0042"

    [conclusion]
    text = "..."

Every value is optional. The schema is published as ``docs/reference/case.schema.json``.
"""

import contextlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from fakelens.errors import UsageError

Place = tuple[int | str, ...]
"""Keys and indices that lead to a value."""

_KINDS = {
    "string_type": "a text in quotes",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "tuple_type": "a list in brackets",
    "dataclass_type": "a table",
    "date_type": "a date such as 2026-04-17",
    "greater_than_equal": "1 or more",
    "string_too_short": "a text that is not empty",
}
"""What a value must be, by the type of pydantic's error."""
_STRICT = ConfigDict(extra="forbid", strict=True, str_strip_whitespace=True)


_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _parse_day(value: object) -> date:
    # Pydantic would take a number in quotes for seconds since 1970.
    if isinstance(value, str) and _DAY.fullmatch(value):
        with contextlib.suppress(ValueError):  # such as February 30
            return date.fromisoformat(value)
    raise PydanticCustomError("date_type", "must be a date")


_Day = Annotated[date, BeforeValidator(_parse_day)]
_MULTILINE: dict[str, Any] = {"multiline": True}


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """Who examines what, for whom and when."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    number: Annotated[str, Field(title="Case number")] = ""
    issue: Annotated[
        int, Field(ge=1, title="Issue", description="number of this issue of the report, from 1")
    ] = 1
    received: Annotated[
        _Day | None,
        Field(title="Item received", description="day on which the item was received"),
    ] = None
    issued: Annotated[
        _Day | None,
        Field(title="Report issued", description="day on which the report is issued"),
    ] = None
    examiner: Annotated[str, Field(title="Examiner", description="name")] = ""
    role: Annotated[
        str, Field(title="Role", description="position or qualification of the examiner")
    ] = ""
    laboratory: Annotated[str, Field(title="Laboratory", description="name and address")] = ""
    accreditation: Annotated[
        str,
        Field(
            title="Accreditation", description="of the laboratory for this method, with its scope"
        ),
    ] = ""
    commissioned_by: Annotated[
        str, Field(title="Commissioned by", description="who asked for the examination")
    ] = ""
    question: Annotated[
        str,
        Field(title="Question", description="as it was asked", json_schema_extra=_MULTILINE),
    ] = ""
    background: Annotated[
        str,
        Field(
            title="Background given",
            description="what the examiner was told about the case",
            json_schema_extra=_MULTILINE,
        ),
    ] = ""


@dataclass(frozen=True, slots=True)
class Propositions:
    """The two competing propositions; an empty one has the default wording of the program."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    first: Annotated[
        str,
        Field(
            title="Proposition 1",
            description="such as that of a manipulation",
            json_schema_extra=_MULTILINE,
        ),
    ] = ""
    second: Annotated[
        str,
        Field(title="Proposition 2", description="its alternative", json_schema_extra=_MULTILINE),
    ] = ""


@dataclass(frozen=True, slots=True)
class Item:
    """The item as it was received."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    exhibit: Annotated[str, Field(title="Exhibit", description="its label")] = ""
    description: Annotated[str, Field(title="Description", description="what it is said to be")] = (
        ""
    )
    received_how: Annotated[
        str,
        Field(
            title="Received how",
            description="from whom, on what, and how it was kept",
            json_schema_extra=_MULTILINE,
        ),
    ] = ""


@dataclass(frozen=True, slots=True)
class Cause:
    """The examiner's remark on another cause of a score.

    The standard list of causes is ``causes.STANDARD``; other names are further causes.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: Annotated[str, Field(min_length=1, title="Cause", description="its name")]
    remark: Annotated[
        str,
        Field(
            title="Remark",
            description="what speaks for it or against it",
            json_schema_extra=_MULTILINE,
        ),
    ] = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """What limits the examination."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    deviations: Annotated[
        tuple[str, ...],
        Field(title="Deviations", description="from the usual procedure"),
    ] = ()
    limits: Annotated[
        tuple[str, ...], Field(title="Limits", description="besides those of the program")
    ] = ()


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The examiner's conclusion."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    text: Annotated[
        str,
        Field(
            title="Conclusion",
            description="in the examiner's own words; an empty line begins a paragraph",
            json_schema_extra=_MULTILINE,
        ),
    ] = ""


@dataclass(frozen=True, slots=True)
class Review:
    """The review of the report by a second examiner."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    reviewer: Annotated[str, Field(title="Reviewer", description="name")] = ""
    role: Annotated[
        str, Field(title="Role", description="position or qualification of the reviewer")
    ] = ""
    reviewed: Annotated[_Day | None, Field(title="Reviewed", description="day of the review")] = (
        None
    )
    remarks: Annotated[
        str,
        Field(
            title="Remarks",
            description="of the reviewer, and how differing opinions were settled",
            json_schema_extra=_MULTILINE,
        ),
    ] = ""


@dataclass(frozen=True, slots=True)
class Case:
    """The content of ``CASE.toml``."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    case: Annotated[CaseFacts, Field(title="Case")] = field(default_factory=CaseFacts)
    propositions: Annotated[Propositions, Field(title="Propositions")] = field(
        default_factory=Propositions
    )
    item: Annotated[Item, Field(title="Item")] = field(default_factory=Item)
    causes: Annotated[tuple[Cause, ...], Field(title="Other causes")] = ()
    limits: Annotated[Limits, Field(title="Limits and deviations")] = field(default_factory=Limits)
    conclusion: Annotated[Conclusion, Field(title="Conclusion")] = field(default_factory=Conclusion)
    review: Annotated[Review, Field(title="Second examiner")] = field(default_factory=Review)


_CASE = TypeAdapter(Case)


class InvalidCaseError(ValueError):
    """Values of a case are unknown or not valid.

    Attributes:
        problems: what is wrong, by the place of the value, such as ``("case", "number")``; each
            follows the name of the value in a sentence.
    """

    def __init__(self, problems: Mapping[Place, str]) -> None:
        super().__init__("; ".join(f"{_dotted(place)} {text}" for place, text in problems.items()))
        self.problems = problems


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of ``CASE.toml``."""
    return _CASE.json_schema()


def read_case(path: Path) -> Case:
    """Read a ``CASE.toml``.

    Raises:
        UsageError: it is missing or not TOML, or a value is unknown or not valid; the message
            names the value.
    """
    try:
        return parse_case(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file; give a CASE.toml with --examiner") from error
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not a TOML file: it is not text in UTF-8") from error
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def parse_case(text: str) -> Case:
    """Read the text of a ``CASE.toml``.

    Raises:
        UsageError: it is not TOML, or a value is unknown or not valid.
    """
    try:
        return validate_case(tomllib.loads(text))
    except InvalidCaseError as error:
        place, problem = next(iter(error.problems.items()))
        raise UsageError(f"the value {_dotted(place)} {problem}") from error
    except ValueError as error:
        raise UsageError(f"not a TOML file: {error}") from error
    except RecursionError as error:
        raise UsageError("not a case file: its values are nested too deeply") from error


def validate_case(content: Mapping[str, Any]) -> Case:
    """Return the case that a table of TOML contains.

    Raises:
        InvalidCaseError: a value is unknown or not valid.
    """
    try:
        # As JSON, in which lists are tuples, but no number is a text.
        return _CASE.validate_json(json.dumps(content, default=str), strict=True)
    except ValidationError as error:
        problems: dict[Place, str] = {}
        for one in error.errors():
            problems.setdefault(one["loc"], _describe(one))
        raise InvalidCaseError(problems) from error


def _describe(problem: ErrorDetails) -> str:
    """Say in words what is wrong with a value, after its name."""
    kind = problem["type"]
    if kind == "unexpected_keyword_argument":
        return "is not known; check its spelling"
    if kind == "missing":
        return "is missing: it must be stated"
    if kind not in _KINDS:
        return f"is not valid: {problem['msg']}"
    given = json.dumps(problem["input"], ensure_ascii=False)
    return f"must be {_KINDS[kind]}, not {given[:40]}{'...' * (len(given) > 40)}"


def _dotted(place: Place) -> str:
    return ".".join(map(str, place))
