"""The HTML file: the same words as the document, and nothing from outside."""

import base64
import hashlib
import re
from dataclasses import replace
from pathlib import Path

from fakelens.casework import blocks
from fakelens.casework.case import Case, CaseFacts, read_case
from fakelens.casework.content import compose
from fakelens.casework.examination import Examination
from fakelens.casework.html import write_html
from support.pages import Page

EXAMPLE = Path(__file__).parents[2] / "examples" / "case.toml"


def squeezed(text: str) -> str:
    return re.sub(r"\s", "", text)


def test_all_text_of_the_document_is_there_in_order(examination: Examination) -> None:
    document = compose(replace(examination, case=read_case(EXAMPLE)))
    text, position = squeezed(Page(write_html(document)).text), 0
    for section in document.sections:
        parts = [section.title]
        for block in section.blocks:
            match block:
                case blocks.Paragraph() | blocks.Command():
                    parts.append(block.text)
                case blocks.Fields():
                    parts += [part for row in block.rows for part in row]
                case blocks.Bullets():
                    parts += block.items
                case blocks.Table():
                    parts += [block.caption, *block.head, *(c for row in block.rows for c in row)]
                case blocks.Picture() | blocks.ScoreChart():
                    parts.append(block.caption)
                case blocks.Beside():
                    parts += [block.left.caption, block.right.caption]
                case blocks.BlankLines():
                    parts += block.labels
        for part in parts:
            found = text.find(squeezed(part), position)
            assert found >= 0, part
            position = found


def test_it_loads_nothing_and_runs_nothing(examination: Examination) -> None:
    html = write_html(compose(examination))
    page = Page(html)
    assert "script" not in page.tags
    assert all(link.startswith("data:image/jpeg;base64,") for link in page.links)
    assert not any(name == "style" or name.startswith("on") for name, _ in page.attributes)
    (policy,) = [v for name, v in page.attributes if name == "content" and "default-src" in v]
    (styles,) = re.findall(r"<style>(.*?)</style>", html, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(styles.encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'")


def test_what_the_examiner_writes_is_text_and_hides_nothing(examination: Examination) -> None:
    case = Case(case=CaseFacts(number="<script>1</script>", examiner="a\u202eb 漢字 שלום"))
    html = write_html(compose(replace(examination, case=case)))
    assert "<script" not in html
    text = Page(html).text
    assert "<script>1</script>" in text
    assert "a[U+202E]b 漢字 שלום" in text
