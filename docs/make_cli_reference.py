"""Write the tables of options in ``docs/reference/cli.md``: ``python docs/make_cli_reference.py``.

The text between the tables is written by hand. A table stands between the comments
``<!-- options: COMMAND -->`` and ``<!-- end -->``.
"""

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import typer
from typer.models import ArgumentInfo

from fakelens.cli.app import app

PAGE = Path(__file__).parent / "reference" / "cli.md"
TABLE = re.compile(r"(<!-- options: (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)
_VALUES = {str: "TEXT", int: "INTEGER", float: "NUMBER", Path: "PATH"}


@dataclass(frozen=True)
class Parameter:
    """An option or argument of a command.

    Attributes:
        names: with their dashes; an argument has none.
        value: what it takes; empty for a flag.
        default: as text; empty if there is none.
        help: what it does.
    """

    names: tuple[str, ...]
    value: str
    default: str
    help: str


def commands() -> dict[str, list[Parameter]]:
    """Return the parameters of every command by its full name, and those of the program itself."""
    return {name: _parameters(function) for name, function in _walk(app, "fakelens")}


def updated(text: str) -> str:
    """Return the page with the current tables."""
    known = commands()
    return TABLE.sub(lambda found: found[1] + _table(known[found[2]]) + found[3], text)


def _walk(program: typer.Typer, name: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    if (callback := program.registered_callback) and callback.callback:
        yield name, callback.callback
    for command in program.registered_commands:
        assert command.callback is not None
        yield f"{name} {command.name or command.callback.__name__}", command.callback
    for group in program.registered_groups:
        assert group.typer_instance is not None
        yield from _walk(group.typer_instance, f"{name} {group.name}")


def _parameters(function: Callable[..., Any]) -> list[Parameter]:
    hints = get_type_hints(function, include_extras=True)
    signature = inspect.signature(function).parameters
    found = [_parameter(name, hints[name], one.default) for name, one in signature.items()]
    return [one for one in found if one]


def _parameter(name: str, hint: Any, default: object) -> Parameter | None:
    if get_origin(hint) is not Annotated:
        return None  # typer's own context
    kind, info = get_args(hint)
    missing = default is None or default is False or default is inspect.Parameter.empty
    shown = "" if missing else str(default)
    if isinstance(info, ArgumentInfo):
        return Parameter((), info.metavar or name.upper(), shown, info.help or "")
    # In Annotated, typer takes the first name for the default.
    declared = [one for one in (info.default, *(info.param_decls or ())) if isinstance(one, str)]
    names = tuple(declared) or (f"--{name.replace('_', '-')}",)
    return Parameter(names, info.metavar or _value(kind), shown, info.help or "")


def _value(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "|".join(get_args(kind))
    if get_origin(kind) in (list, Union, UnionType):
        return _value(get_args(kind)[0])
    return "" if kind is bool else _VALUES[kind]


def _table(parameters: list[Parameter]) -> str:
    rows = [
        f"| {_name(one)} | {_code(one.default)} | {_escape(one.help)} |\n" for one in parameters
    ]
    return "".join(["\n| option | default | meaning |\n|---|---|---|\n", *rows, "\n"])


def _name(parameter: Parameter) -> str:
    if not parameter.names:
        return _code(parameter.value)
    *others, last = sorted(parameter.names, key=len)
    return ", ".join(_code(name) for name in (*others, f"{last} {parameter.value}".strip()))


def _code(text: str) -> str:
    return f"`{_escape(text)}`" if text else ""


def _escape(text: str) -> str:
    return text.replace("|", r"\|")


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
