"""``CASE.toml``: what it states, and one sentence for each mistake."""

import json
import tomllib
from datetime import date
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakelens.casework.case import (
    Case,
    CaseFacts,
    Cause,
    Conclusion,
    Limits,
    json_schema,
    parse_case,
    read_case,
)
from fakelens.casework.case_toml import write_case
from fakelens.errors import UsageError

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "case.toml"
SCHEMA = ROOT / "docs" / "reference" / "case.schema.json"


def test_an_empty_file_states_nothing(tmp_path: Path) -> None:
    path = tmp_path / "case.toml"
    path.write_text("")
    assert read_case(path) == Case()
    path.write_bytes(b'\xef\xbb\xbf[case]\nnumber = " 7 "\n')  # as editors on Windows write it
    assert read_case(path).case.number == "7"


def test_the_example_is_read_and_valid_by_the_schema() -> None:
    case = read_case(EXAMPLE)
    assert case.case.received == date(2026, 4, 17)
    assert case.causes[1].name == "Video call with virtual background"
    content = json.loads(json.dumps(tomllib.loads(EXAMPLE.read_text()), default=str))
    jsonschema.validate(content, json.loads(SCHEMA.read_text()))


_TEXTS = st.text(st.characters(exclude_categories=["Cs"])).map(str.strip)


@settings(max_examples=50, deadline=None)
@given(_TEXTS, _TEXTS, st.lists(_TEXTS, max_size=3), st.none() | st.dates())
def test_a_case_that_is_written_is_read_again(
    first: str, second: str, several: list[str], day: date | None
) -> None:
    case = Case(
        case=CaseFacts(number=first, issued=day, issue=3),
        causes=(Cause(second or "a"), Cause("b", first)),
        limits=Limits(limits=tuple(several)),
        conclusion=Conclusion(f"a\r\n{first}\n\\{second}z"),
    )
    text = write_case(case)
    assert tomllib.loads(text)["case"]["issue"] == 3
    assert parse_case(text) == case
    assert write_case(Case(case=CaseFacts(issue=1))) == "[case]\nissue = 1\n"


def test_the_published_schema_is_the_one_in_use() -> None:
    assert json.loads(SCHEMA.read_text()) == json.loads(json.dumps(json_schema()))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\0", "not a TOML file"),
        ("x = " + "[" * 5000 + "]" * 5000, "nested too deeply"),
        ("[cases]", "the value cases is not known; check its spelling"),
        ("[case]\nnumbr = 'x'", "the value case.numbr is not known"),
        ("[case]\nnumber = 17", "case.number must be a text in quotes, not 17"),
        ("[case]\nissue = 0", "case.issue must be 1 or more, not 0"),
        ("[case]\nissue = true", "case.issue must be a whole number, not true"),
        ("[case]\nissue = 1.5", "case.issue must be a whole number, not 1.5"),
        ("[case]\nissued = 'soon'", 'case.issued must be a date such as 2026-04-17, not "soon"'),
        ("[case]\nissued = '1776211200'", "case.issued must be a date such as 2026-04-17, not"),
        ("[case]\nissued = 3", "case.issued must be a date such as 2026-04-17, not 3"),
        ("[case]\nissued = 2026-04-17T10:00:00", "issued must be a date such as 2026-04-17, not"),
        ("case = 'x'", 'case must be a table, not "x"'),
        ("[causes]\nname = 'x'", "causes must be a list in brackets"),
        ("[[causes]]\nremark = 'x'", "causes.0.name is missing"),
        ("[[causes]]\nname = ' '", "causes.0.name must be a text that is not empty"),
        ("[limits]\nlimits = 'x'", "limits.limits must be a list in brackets"),
        ("[limits]\nlimits = [1]", "limits.limits.0 must be a text in quotes, not 1"),
    ],
)
def test_a_mistake_is_named_in_a_sentence(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "case.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_case(path)
    message = str(caught.value)
    assert words in message
    assert message.startswith(str(path))
    assert "\n" not in message


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_case(tmp_path / "case.toml")
    with pytest.raises(UsageError, match="cannot be read"):
        read_case(tmp_path)
    (tmp_path / "latin.toml").write_bytes("[case]\nnumber = 'é'".encode("latin-1"))
    with pytest.raises(UsageError, match="not text in UTF-8"):
        read_case(tmp_path / "latin.toml")
