"""The form of the examiner's report: its fields, generated from the schema of ``CASE.toml``.

A value of the form has a name and a text: ``case.number`` for a value of a table, ``known.N`` for
the remark on the N-th cause of the standard list, and ``further.N.name`` and ``further.N.remark``
for the N-th further cause. A list has one entry a line.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from itertools import count
from typing import Any, Literal

from fakelens.casework.case import Case, Place, json_schema
from fakelens.casework.causes import STANDARD

Values = Mapping[str, str]
"""Values of the form, by name."""

Kind = Literal["line", "lines", "list", "date", "number"]

_KNOWN, _FURTHER = "known", "further"
_FURTHER_NAME = re.compile(rf"{_FURTHER}\.([0-9]{{1,4}})\.(?:name|remark)")
_BLANK_CAUSES = 2  # empty rows for further causes
_MAX_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the form.

    Attributes:
        name: of its value.
        label: of the field.
        hint: what to fill in.
        kind: how it is filled in; ``list`` has one entry a line.
        required: whether it must be stated.
        value: its content.
        problem: what is wrong with the content; empty if nothing is.
    """

    name: str
    label: str
    hint: str
    kind: Kind
    required: bool
    value: str
    problem: str


@dataclass(frozen=True, slots=True)
class Group:
    """Fields that belong together."""

    title: str
    hint: str
    fields: tuple[Field, ...]


def fill(case: Case) -> dict[str, str]:
    """Return the values of the form that state a case."""
    content = asdict(case)
    remarks = content.pop("causes")
    values = {
        f"{table}.{name}": "\n".join(_one_line(entry) for entry in value)
        if isinstance(value, tuple)
        else str(value)
        for table, stated in content.items()
        for name, value in stated.items()
        if value is not None
    }
    known = {name.casefold(): number for number, name in enumerate(STANDARD)}
    further = count()
    for remark in remarks:
        number = known.pop(remark["name"].casefold(), None)
        if number is not None:
            values[f"{_KNOWN}.{number}"] = remark["remark"]
            continue
        row = f"{_FURTHER}.{next(further)}"
        values |= {f"{row}.name": remark["name"], f"{row}.remark": remark["remark"]}
    return values


def to_table(values: Values) -> tuple[dict[str, Any], dict[Place, str]]:
    """Return what a form states as the content of ``CASE.toml``.

    Returns:
        The content, which may not be valid, and the name of each value by its place in it.
    """
    content: dict[str, Any] = {}
    names: dict[Place, str] = {}
    for field in _plain_fields():
        text = values.get(field.name, "").strip()
        if not text:
            continue
        table, key = field.name.split(".")
        content.setdefault(table, {})[key] = _parse(field.kind, text)
        names[table, key] = field.name
    causes: list[dict[str, str]] = []
    for row, name, remark in _causes(values):
        places = {"name": f"{row}.name", "remark": f"{row}.remark"}
        if row.startswith(_KNOWN):
            places = {"name": row, "remark": row}
        names |= {("causes", len(causes), key): place for key, place in places.items()}
        causes.append({"name": name, "remark": remark})
    return content | {"causes": causes}, names


def make_groups(values: Values, problems: Mapping[str, str]) -> list[Group]:
    """Return the form with its content.

    Args:
        values: to show.
        problems: what is wrong, by the name of the value.
    """
    groups: list[Group] = []
    for table, schema in json_schema()["properties"].items():
        if table == "causes":
            groups += _cause_groups(schema["title"], values, problems)
            continue
        fields = (each for each in _plain_fields() if each.name.startswith(f"{table}."))
        shown = tuple(_filled(field, values, problems) for field in fields)
        definition = _definition(schema)
        # Pydantic leaves out a title that is that of the definition.
        title = schema.get("title", definition["title"])
        groups.append(Group(title, definition["description"], shown))
    return groups


def _cause_groups(title: str, values: Values, problems: Mapping[str, str]) -> Iterator[Group]:
    hint = "Your remark on each: what speaks for it or against it."
    known = (
        Field(f"{_KNOWN}.{number}", name, "", "lines", required=False, value="", problem="")
        for number, name in enumerate(STANDARD)
    )
    yield Group(title, hint, tuple(_filled(field, values, problems) for field in known))
    rows = range(max(_further_rows(values), default=-1) + 1 + _BLANK_CAUSES)
    schema = json_schema()
    definition = _definition(schema["properties"]["causes"]["items"])
    further = (
        replace(field, label=f"{field.label} {row + 1}")
        for row in rows
        for field in _fields(f"{_FURTHER}.{row}", definition)
    )
    hint = "Causes that the list above lacks. Save to get more empty fields."
    shown = tuple(_filled(field, values, problems) for field in further)
    yield Group("Further causes", hint, shown)


def _causes(values: Values) -> Iterator[tuple[str, str, str]]:
    """Yield the row, the name and the remark of each cause with a remark or a name."""
    for number, name in enumerate(STANDARD):
        row = f"{_KNOWN}.{number}"
        if remark := values.get(row, "").strip():
            yield row, name, remark
    for number in _further_rows(values):
        row = f"{_FURTHER}.{number}"
        name, remark = (values.get(f"{row}.{key}", "").strip() for key in ("name", "remark"))
        if name or remark:
            yield row, name, remark


def _further_rows(values: Values) -> list[int]:
    """Return the numbers of the further causes that have a value."""
    found = {_FURTHER_NAME.fullmatch(name): text for name, text in values.items()}
    return sorted({int(name[1]) for name, text in found.items() if name and text.strip()})


def _filled(field: Field, values: Values, problems: Mapping[str, str]) -> Field:
    value = values.get(field.name, field.value)
    # A field of one line would lose the others.
    kind = "lines" if field.kind == "line" and "\n" in value else field.kind
    return replace(field, kind=kind, value=value, problem=problems.get(field.name, ""))


@cache
def _plain_fields() -> Sequence[Field]:
    """Return the fields of all tables that a case has once."""
    tables = json_schema()["properties"]
    return [
        field
        for table, schema in tables.items()
        if "$ref" in schema
        for field in _fields(table, _definition(schema))
    ]


def _fields(prefix: str, definition: Mapping[str, Any]) -> Iterator[Field]:
    required = definition.get("required", ())
    for name, schema in definition["properties"].items():
        default = schema.get("default")
        yield Field(
            name=f"{prefix}.{name}",
            label=schema["title"],
            hint=schema.get("description", ""),
            kind=_kind(schema),
            required=name in required,
            value=str(default) if isinstance(default, int) else "",
            problem="",
        )


def _definition(schema: Mapping[str, Any]) -> dict[str, Any]:
    definition: dict[str, Any] = json_schema()["$defs"][schema["$ref"].rpartition("/")[2]]
    return definition


def _kind(schema: Mapping[str, Any]) -> Kind:
    if schema.get("type") == "array":
        return "list"
    if schema.get("type") == "integer":
        return "number"
    if any(one.get("format") == "date" for one in schema.get("anyOf", ())):
        return "date"
    return "lines" if schema.get("multiline") else "line"


def _parse(kind: Kind, text: str) -> Any:
    """Return a value for ``CASE.toml``; a wrong one stays a text, which is not valid then."""
    if kind == "list":
        return [line.strip() for line in text.splitlines() if line.strip()]
    if kind == "number" and text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS:
        return int(text)
    return text


def _one_line(text: str) -> str:
    return " ".join(text.split())
