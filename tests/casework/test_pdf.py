"""The PDF, read back by pypdf."""

import io
import re
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pypdf = pytest.importorskip("pypdf")
pytest.importorskip("reportlab")

from fakelens.casework import blocks  # noqa: E402
from fakelens.casework.case import read_case  # noqa: E402
from fakelens.casework.content import compose  # noqa: E402
from fakelens.casework.examination import Examination  # noqa: E402
from fakelens.casework.pdf import write_pdf as write  # noqa: E402
from fakelens.errors import UsageError  # noqa: E402
from fakelens.report.charts import Curve  # noqa: E402

EXAMPLE = Path(__file__).parents[2] / "examples" / "case.toml"
A4, LETTER = (595, 842), (612, 792)  # points


@pytest.fixture(scope="module")
def document(examination: Examination) -> blocks.Document:
    return compose(replace(examination, case=read_case(EXAMPLE)))


@pytest.fixture(scope="module")
def pdf(document: blocks.Document) -> "pypdf.PdfReader":
    return read(write_pdf(document))


def write_pdf(document: blocks.Document, **options: Any) -> bytes:
    return write(document, **options)[0]


def read(content: bytes) -> "pypdf.PdfReader":
    return pypdf.PdfReader(io.BytesIO(content))


def text_of(pdf: "pypdf.PdfReader") -> str:
    """The text without white space, since lines are broken anywhere."""
    pages = (page.extract_text() for page in pdf.pages)
    return re.sub(r"\s", "", "".join(pages))


def of(*blocks_: blocks.Block) -> blocks.Document:
    section = blocks.Section("1 Test", blocks_)
    return blocks.Document("A test", "7", "id-1", "me", "2026-04-20", (section,))


def squeezed(text: str) -> str:
    return re.sub(r"\s", "", text)


def words(document: blocks.Document) -> list[str]:
    """All titles, names, values and cells of a document, in order."""
    found = [document.title]
    for section in document.sections:
        found.append(section.title)
        for block in section.blocks:
            match block:
                case blocks.Paragraph() | blocks.Command():
                    found.append(block.text)
                case blocks.Fields():
                    found += [part for row in block.rows for part in row]
                case blocks.Bullets():
                    found += block.items
                case blocks.Table():
                    found += [block.caption, *block.head, *(c for row in block.rows for c in row)]
                case blocks.Picture() | blocks.ScoreChart():
                    found.append(block.caption)
                case blocks.BlankLines():
                    found += block.labels
    return [squeezed(blocks.visible(word)) for word in found]


def test_every_word_is_in_the_text_and_in_order(
    document: blocks.Document, pdf: "pypdf.PdfReader"
) -> None:
    pages = [squeezed(page.extract_text()) for page in pdf.pages]
    margin = re.compile(
        r"Case2026-0417\|Report[0-9a-f]{16}-1|Ascoreisevidence,notproof\.Outputof"
        r"software\.|Page\d+of\d+"
    )
    text = "".join(margin.sub("", page) for page in pages)
    position, missing = 0, []
    for word in words(document):
        found = text.find(word, position)
        if found < 0:
            missing.append(word)  # such as a row that is split between two pages
        else:
            position = found + len(word)
    assert len(missing) <= len(pages), missing


def test_required_fields_come_in_the_order_of_a_file(pdf: "pypdf.PdfReader") -> None:
    text, position = text_of(pdf), 0
    for field in (
        "Case number", "Report id", "Item received", "Item analysed", "Report issued", "Examiner",
        "Laboratory", "Commissioned by", "Output of the software", "Error rate of the model",
        "Question", "Proposition 1", "Proposition 2", "Received how", "File name", "Size",
        "SHA-256", "Same file now", "Container", "Codec", "Frame rate", "Timestamps",
        "C2PA manifest", "Tags in the file", "Software", "Model", "Training data", "Thresholds",
        "Settings", "Machine", "Versions", "Command", "Frames decoded", "Frames examined",
        "Places that could not be read", "Faces not counted", "Person 1", "Reasons", "Score",
        "Seconds", "Likelihood ratio", "Validated conditions", "Heatmaps show what moved",
        "Validation", "Other causes considered", "Limits of the model", "Deviations",
        "Conclusion of the examiner", "How to reproduce", "Remarks", "signature, place and date",
        "no digital signature", "Glossary",
    ):  # fmt: skip
        position = text.find(squeezed(field), position)
        assert position >= 0, field


def test_every_page_has_its_number_and_the_case(pdf: "pypdf.PdfReader") -> None:
    total = len(pdf.pages)
    assert 3 <= total <= 8
    for number, page in enumerate(pdf.pages, 1):
        text = page.extract_text()
        assert f"Page {number} of {total}" in text
        assert "Case 2026-0417" in text
        assert tuple(round(float(side)) for side in page.mediabox[2:]) == A4


def test_a_long_case_number_stays_in_the_header(document: blocks.Document) -> None:
    long = replace(document, case_number="\u6f22" * 60)
    page = read(write_pdf(long)).pages[0]
    heights = {0.0}
    page.extract_text(visitor_text=lambda _text, cm, tm, *_: heights.add(cm[5] + tm[5]))
    assert A4[1] - 60 < max(heights) < A4[1] - 40


def test_it_has_a_title_and_bookmarks_that_lead_to_the_headings(
    document: blocks.Document, pdf: "pypdf.PdfReader"
) -> None:
    assert pdf.metadata is not None
    assert pdf.metadata.title == "Examiner's report: two.mp4"
    assert pdf.metadata.author == "Ada Example"
    assert str(pdf.metadata["/CreationDate"]).startswith("D:20260420")
    found = []

    def walk(outline: list[object]) -> None:
        for entry in outline:
            if isinstance(entry, list):
                walk(entry)
            else:
                page = pdf.pages[pdf.get_destination_page_number(entry)]
                assert squeezed(entry.title) in squeezed(page.extract_text())
                found.append(entry.title)

    walk(pdf.outline)
    assert found == [section.title for section in document.sections]


@pytest.mark.parametrize("rows", range(38, 52, 2))
def test_signatures_stay_with_their_heading(rows: int) -> None:
    before = blocks.Fields((("a", "b"),) * rows)
    document = of(before)
    signing = blocks.Section("2 Signatures", (blocks.Paragraph("x"), blocks.BlankLines(("line",))))
    pdf = read(write_pdf(replace(document, sections=(*document.sections, signing))))
    (page,) = [page for page in pdf.pages if "2 Signatures" in page.extract_text()]
    assert "line" in page.extract_text()


def test_fonts_are_embedded(pdf: "pypdf.PdfReader") -> None:
    used = {
        str(font.get_object()["/BaseFont"]).rpartition("+")[2]: font.get_object()
        for page in pdf.pages
        for font in page["/Resources"]["/Font"].values()
    }
    shown = {name for name in used if name not in ("/Helvetica", "Helvetica")}
    assert any("Vera" in name for name in shown)
    for name in shown:
        assert "/FontFile2" in used[name]["/FontDescriptor"], name


def test_the_same_document_gives_the_same_bytes(document: blocks.Document) -> None:
    assert write_pdf(document) == write_pdf(document)


def test_letter_paper(document: blocks.Document) -> None:
    page = read(write_pdf(document, paper="letter")).pages[0]
    assert tuple(round(float(side)) for side in page.mediabox[2:]) == LETTER


def test_headings_of_tables_are_repeated_once_a_page() -> None:
    rows = tuple((f"row {number}", "x " * (number * 37 % 500)) for number in range(60))
    pages = read(write_pdf(of(blocks.Table("Long", ("First", "Second"), rows, (1, 1))))).pages
    assert len(pages) > 3
    assert [page.extract_text().count("First") for page in pages] == [1] * len(pages)


def test_no_text_is_too_long_for_a_page() -> None:
    words = " ".join(f"word{number}" for number in range(4000))
    whole = "x" * 3000
    for block in (
        blocks.Paragraph(words),
        blocks.Fields((("Name", words), ("Name", whole))),
        blocks.Table("t", ("a", "b"), ((words, "x"), (whole, whole)), (1, 2)),
        blocks.Bullets((words, whole)),
        blocks.Command(words),
    ):
        text = text_of(read(write_pdf(of(block))))
        assert "word3999" in text
        if isinstance(block, blocks.Fields | blocks.Table | blocks.Bullets):
            assert text.count("x") >= 3000


def test_markup_in_a_text_is_text() -> None:
    text = '<b>&amp; <font color="red"> & "quoted" <a href="http://x">'
    assert squeezed(text) in text_of(read(write_pdf(of(blocks.Paragraph(text)))))


def test_characters_without_a_glyph_are_numbers_never_lost() -> None:
    document = of(blocks.Fields((("Naïve Łukasz €", "你 ź שלום a\u0301\u0323 \u202e Ж"),)))
    text = text_of(read(write_pdf(document)))
    assert "NaïveŁukasz€" in text
    for character in "你źשלוםЖ\u202e":
        assert f"[U+{ord(character):04X}]" in text
    assert "[U+1EA1][U+0301]" in text  # composed as far as Unicode has letters
    assert "charactersthatthisfilecannotshow" in text


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="DejaVu comes with matplotlib")
def test_a_font_of_the_user_shows_more_characters(tmp_path: Path) -> None:
    import matplotlib  # noqa: PLC0415 - not needed otherwise

    font = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    document = of(blocks.Paragraph("Дело № 17 & שלום x\u0301"))
    text = text_of(read(write_pdf(document, fonts=[font])))
    assert "Дело№17&" in text
    assert "[U+05E9]" in text  # would have to be written from right to left
    assert "x[U+0301]" in text
    broken = tmp_path / "broken.ttf"
    broken.write_bytes(b"no font")
    for path in (broken, tmp_path / "none.ttf", tmp_path):
        with pytest.raises(UsageError, match="not a TrueType font"):
            write_pdf(document, fonts=[path])


def test_the_chart_has_the_score_at_its_height() -> None:
    """A score of 1 is drawn 3/4 of the height above one of 1/4, thresholds between them."""

    def heights(height: float) -> list[float]:
        curve = Curve(f"M0.0,{height:.1f}L1000.0,{height:.1f}", "")
        chart = blocks.ScoreChart(curve, (("0:00.0", 0), ("0:01.0", 500)), 0.8, 0.4, "c")
        content = read(write_pdf(of(chart))).pages[0].get_contents().get_data().decode("latin-1")
        lines = re.findall(r"n ([\d.]+) ([\d.]+) m ([\d.]+) ([\d.]+)\s+l\s+S", content)
        level = [(float(b), float(c) - float(a)) for a, b, c, d in lines if b == d]
        return [y for y, length in level if length > 200 and y < 200]  # not those of the page

    top, low = heights(0), heights(75)
    fake, real, score = top[-3:]
    assert score > fake > real > low[-1]
    assert (score - low[-1]) / 0.75 == pytest.approx((fake - real) / 0.4, rel=0.01)


def test_a_date_that_is_none_does_not_stop_the_pdf() -> None:
    content = write_pdf(replace(of(), dated="now"))
    assert str(read(content).metadata["/CreationDate"]).startswith("D:1970")
