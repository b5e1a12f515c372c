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

import json
import tomllib
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from fakelens.errors import UsageError

_KINDS = {
    "string_type": "a text in quotes",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "tuple_type": "a list in brackets",
    "dataclass_type": "a table",
    "date_from_datetime_parsing": "a date such as 2026-04-17",
    "date_parsing": "a date such as 2026-04-17",
    "date_type": "a date such as 2026-04-17",
    "greater_than_equal": "1 or more",
    "string_too_short": "a text that is not empty",
}
"""What a value must be, by the type of pydantic's error."""
_STRICT = ConfigDict(extra="forbid", strict=True, str_strip_whitespace=True)


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """Who examines what, for whom and when.

    Attributes:
        number: of the case.
        issue: number of this issue of the report, from 1.
        received: day on which the item was received.
        issued: day on which the report is issued.
        examiner: name.
        role: position or qualification of the examiner.
        laboratory: name and address.
        accreditation: of the laboratory for this method, with its scope.
        commissioned_by: who asked for the examination.
        question: that was asked.
        background: what the examiner was told about the case.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    number: str = ""
    issue: Annotated[int, Field(ge=1)] = 1
    received: date | None = None
    issued: date | None = None
    examiner: str = ""
    role: str = ""
    laboratory: str = ""
    accreditation: str = ""
    commissioned_by: str = ""
    question: str = ""
    background: str = ""


@dataclass(frozen=True, slots=True)
class Propositions:
    """The two competing propositions; an empty one has the default wording of the program.

    Attributes:
        first: such as that of a manipulation.
        second: its alternative.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    first: str = ""
    second: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """The item as it was received.

    Attributes:
        exhibit: its label.
        description: what it is said to be.
        received_how: from whom, on what, and how it was kept.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    exhibit: str = ""
    description: str = ""
    received_how: str = ""


@dataclass(frozen=True, slots=True)
class Cause:
    """The examiner's remark on another cause of a score.

    Attributes:
        name: of a cause of the standard list, see ``causes.STANDARD``, or of a further one.
        remark: what speaks for it or against it.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: Annotated[str, Field(min_length=1)]
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """What limits the examination.

    Attributes:
        deviations: from the usual procedure.
        limits: besides those of the program.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    deviations: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The examiner's conclusion.

    Attributes:
        text: in the examiner's own words; an empty line begins a paragraph.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    text: str = ""


@dataclass(frozen=True, slots=True)
class Review:
    """The review of the report by a second examiner.

    Attributes:
        reviewer: name.
        role: position or qualification.
        reviewed: day of the review.
        remarks: of the reviewer, and how differing opinions were settled.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    reviewer: str = ""
    role: str = ""
    reviewed: date | None = None
    remarks: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """The content of ``CASE.toml``.

    Attributes:
        case: who examines what, for whom and when.
        propositions: the two that are compared.
        item: as it was received.
        causes: remarks on other causes.
        limits: of the examination.
        conclusion: of the examiner.
        review: by a second examiner.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    case: CaseFacts = field(default_factory=CaseFacts)
    propositions: Propositions = field(default_factory=Propositions)
    item: Item = field(default_factory=Item)
    causes: tuple[Cause, ...] = ()
    limits: Limits = field(default_factory=Limits)
    conclusion: Conclusion = field(default_factory=Conclusion)
    review: Review = field(default_factory=Review)


_CASE = TypeAdapter(Case)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of ``CASE.toml``."""
    return _CASE.json_schema()


def read_case(path: Path) -> Case:
    """Read a ``CASE.toml``.

    Raises:
        UsageError: it is missing or not TOML, or a value is unknown or not valid; the message
            names the value.
    """
    content = _read_toml(path)
    try:
        # As JSON, in which lists are tuples, but no number is a text.
        return _CASE.validate_json(json.dumps(content, default=str), strict=True)
    except ValidationError as error:
        raise UsageError(f"{path}: {_describe(error)}") from error


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file; give a CASE.toml with --examiner") from error
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not a TOML file: it is not text in UTF-8") from error
    except ValueError as error:
        raise UsageError(f"{path}: not a TOML file: {error}") from error
    except RecursionError as error:
        raise UsageError(f"{path}: not a case file: its values are nested too deeply") from error


def _describe(error: ValidationError) -> str:
    """Say in words what is wrong with the first wrong value."""
    first = error.errors()[0]
    place, kind = ".".join(map(str, first["loc"])), first["type"]
    if kind == "unexpected_keyword_argument":
        return f"the value {place} is not known; check its spelling"
    if kind == "missing":
        return f"the value {place} is missing: it must be stated"
    if kind not in _KINDS:
        return f"the value {place} is not valid: {first['msg']}"
    given = json.dumps(first["input"], ensure_ascii=False)
    return f"the value {place} must be {_KINDS[kind]}, not {given[:40]}{'...' * (len(given) > 40)}"
