"""Malformed requests: pydantic's findings as one sentence."""

from collections.abc import Iterable
from typing import Any

from fakelens.web import files
from fakelens.web.schemas import JOB_ID

_ACCEPTED = {
    "missing": "is missing",
    "extra_forbidden": "is not a known field",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a smaller whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "greater_than_equal": "must be {ge} or more",
    "less_than_equal": "must be {le} or less",
    "enum": "must be {expected}",
    "literal_error": "must be {expected}",
    "string_type": "must be text",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must match the regular expression {pattern}",
    "too_long": "must have at most {max_length} entries",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "model_type": "must be a JSON object",
    "model_attributes_type": "must be a JSON object",
    "json_invalid": "must be valid JSON",
}
_BE = "must be "
_PATTERNS = {
    JOB_ID: "must be 32 digits and letters from a to f",
    files.NAME: "must be the name of a file of the results",
    r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$": "must be a time in UTC, such as 2026-01-31T12:00:00Z",
    r"^[0-9a-f]{64}$": "must be a SHA-256 checksum: 64 digits and letters from a to f",
}
"""What text must be, by regular expression."""


def describe(problems: Iterable[Any]) -> str:
    """Return a sentence that names each malformed parameter or field, and what is accepted.

    Args:
        problems: as in ``RequestValidationError.errors()``.
    """
    found: dict[str, list[str]] = {}
    for problem in problems:
        name = _name(problem)
        context = problem.get("ctx", {})
        if known := _PATTERNS.get(context.get("pattern")):
            text = known
        elif template := _ACCEPTED.get(problem["type"]):
            text = template.format(**context)
        else:
            text = f"is refused: {problem['msg']}"
        found.setdefault(name, []).append(text)
    return "; ".join(f"{name} {_either(texts)}" for name, texts in found.items())


def _name(problem: Any) -> str:
    place, *path = problem["loc"]
    if place != "body":
        return str(path[0])  # what follows tells apart the types of a union
    if not path or problem["type"] == "json_invalid":
        return "the request body"
    first, *rest = path
    return str(first) + "".join(f"[{x}]" if isinstance(x, int) else f".{x}" for x in rest)


def _either(texts: list[str]) -> str:
    """Join what the types of a union accept."""
    if all(text.startswith(_BE) for text in texts):
        return _BE + ", or ".join(text.removeprefix(_BE) for text in texts)
    return ", or ".join(texts)
