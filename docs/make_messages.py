"""Writes ``docs/reference/messages.md``: every error message of fakelens, read from its code.

Run as ``python docs/make_messages.py``. ``tests/project/test_messages.py`` compares the page with
the code.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from fakelens import errors

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "fakelens"
PAGE = ROOT / "docs" / "reference" / "messages.md"

_ERRORS = {
    name: error
    for name, error in vars(errors).items()
    if isinstance(error, type) and issubclass(error, errors.FakelensError)
}
_INTRODUCTION = """# Error messages

The messages of the errors that fakelens raises, by package. Words in braces stand for names and
numbers. A `UsageError` ends a command with exit code 2, every other error with exit code 1. The
page is written by `python docs/make_messages.py`.
"""


class Message(NamedTuple):
    """An error message in the code."""

    package: str
    error: str
    text: str


def find_messages() -> list[Message]:
    """Collect the messages of all errors raised in the package, without duplicates."""
    found = set()
    for path in sorted(SOURCE.rglob("*.py")):
        package = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for error, arguments in _raised(tree):
            if error == "MissingExtraError":
                purpose, extra = (_text(argument) for argument in arguments)
                found.add(Message(package, error, str(errors.MissingExtraError(purpose, extra))))
            elif arguments and (text := _text(arguments[0])):
                found.add(Message(package, error, text))
    return sorted(found)


def _raised(tree: ast.AST) -> Iterator[tuple[str, list[ast.expr]]]:
    """Name and arguments of each error that is made in a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) in _ERRORS:
            yield ast.unparse(node.func), node.args


def _text(expression: ast.expr) -> str:
    """The words of a string expression; what is computed stands in braces."""
    if isinstance(expression, ast.Constant):
        return str(expression.value)
    if isinstance(expression, ast.JoinedStr):
        return "".join(map(_text, expression.values))
    if isinstance(expression, ast.FormattedValue):
        return "{" + _name(expression.value) + "}"
    if isinstance(expression, ast.BinOp):
        return _text(expression.left) + _text(expression.right)
    return "{" + _name(expression) + "}"


def _name(expression: ast.expr) -> str:
    """A short name of what is computed: the last name in it, or ``...``."""
    names = [
        node.attr if isinstance(node, ast.Attribute) else node.id
        for node in ast.walk(expression)
        if isinstance(node, ast.Attribute | ast.Name)
    ]
    return names[0] if names else "..."


def make_page() -> str:
    """Write the page as Markdown."""
    lines = [_INTRODUCTION]
    messages = find_messages()
    for package in dict.fromkeys(message.package for message in messages):
        lines += [f"## {package}", "", "| error | message |", "|---|---|"]
        lines += [
            f"| `{error}` | {text.replace('|', chr(92) + '|')} |"
            for home, error, text in messages
            if home == package
        ]
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(make_page(), encoding="utf-8")
