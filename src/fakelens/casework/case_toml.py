"""Writes a case as ``CASE.toml``; the standard library only reads TOML."""

import json
from collections.abc import Iterator
from dataclasses import fields
from datetime import date
from typing import Any

from fakelens.casework.case import Case

_DELETE = "\x7f"  # the one control character that JSON does not escape


def write_case(case: Case) -> str:
    """Return the text of a ``CASE.toml`` with the values that are stated.

    ``parse_case`` reads an equal case from it.
    """
    return "\n".join(_tables(case))


def _tables(case: Case) -> Iterator[str]:
    for table in fields(case):
        value = getattr(case, table.name)
        many = isinstance(value, tuple)
        for one in value if many else (value,):
            stated = [
                (each.name, content)
                for each in fields(one)
                if (content := getattr(one, each.name)) not in ("", None, ())
            ]
            if not stated:
                continue
            lines = (f"{name} = {_value(content)}\n" for name, content in stated)
            yield (f"[[{table.name}]]\n" if many else f"[{table.name}]\n") + "".join(lines)


def _value(value: Any) -> str:
    match value:
        case tuple():
            return f"[{', '.join(map(_value, value))}]"
        case date() | int():
            return str(value)
        case _ if "\n" in value:
            return '"""\n' + "\n".join(map(_escaped, value.split("\n"))) + '"""'
        case _:
            return f'"{_escaped(value)}"'


def _escaped(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1].replace(_DELETE, "\\u007f")
