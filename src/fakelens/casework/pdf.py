"""The examiner's report as PDF. Needs the extra ``casework`` (reportlab).

The same document gives the same bytes.
"""

import io
import math
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from reportlab.graphics.shapes import Drawing, Line, Polygon, PolyLine, Rect, String
from reportlab.lib import colors, pagesizes
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.platypus import (
    BaseDocTemplate,
    CondPageBreak,
    Flowable,
    Frame,
    HRFlowable,
    Image,
    KeepTogether,
    PageTemplate,
    Spacer,
    Table,
    TableStyle,
)
from reportlab.platypus import Paragraph as Text

from fakelens.casework import blocks
from fakelens.casework.fonts import BOLD, REGULAR, Typeface

_SIZES = {"a4": pagesizes.A4, "letter": pagesizes.LETTER}
_MARGIN, _HEAD = 18 * mm, 12 * mm
_INK, _QUIET, _LINE, _SHADE = (
    colors.HexColor(c) for c in ("#111111", "#555555", "#bbbbbb", "#f1f1f1")
)
_ACCENT = colors.HexColor("#1f4e79")
_LABELS = 42 * mm  # width of the names of fields
_CHART_HEIGHT = 34 * mm
_TABLE_START = 25 * mm
_MAX_ROW = 80 * mm  # height up to which a row is not split
_SMALL = 7
_MAX_HEADER = 60  # characters of a case number
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)")

_BODY = ParagraphStyle("body", fontName=REGULAR, fontSize=8, leading=10.6, textColor=_INK)
_STYLES = {
    "plain": ParagraphStyle("plain", _BODY, spaceAfter=4),
    "note": ParagraphStyle("note", _BODY, fontSize=7, leading=9.2, textColor=_QUIET, spaceAfter=4),
    "examiner": ParagraphStyle(
        "examiner",
        _BODY,
        fontSize=9,
        leading=12.5,
        leftIndent=8,
        spaceAfter=6,
        borderColor=_ACCENT,
        borderWidth=0,
    ),
    "bullet": ParagraphStyle("bullet", _BODY, leftIndent=10, bulletIndent=2, spaceAfter=1.5),
    "cell": ParagraphStyle("cell", _BODY, fontSize=7.5, leading=9.6),
    "head": ParagraphStyle("head", _BODY, fontName=BOLD, fontSize=7, leading=8.8),
    "label": ParagraphStyle("label", _BODY, fontSize=7.5, leading=9.6, textColor=_QUIET),
    "caption": ParagraphStyle("caption", _BODY, fontSize=7, leading=9, textColor=_QUIET),
    "title": ParagraphStyle("title", _BODY, fontName=BOLD, fontSize=15, leading=19, spaceAfter=6),
    "h1": ParagraphStyle(
        "h1",
        _BODY,
        fontName=BOLD,
        fontSize=11,
        leading=14,
        spaceBefore=9,
        spaceAfter=4,
        textColor=_ACCENT,
    ),
    "h2": ParagraphStyle(
        "h2", _BODY, fontName=BOLD, fontSize=9, leading=12, spaceBefore=6, spaceAfter=3
    ),
    "margin": ParagraphStyle("margin", _BODY, fontSize=_SMALL, leading=9, textColor=_QUIET),
}


def write_pdf(
    document: blocks.Document, *, paper: blocks.Paper = "a4", fonts: Sequence[Path] = ()
) -> tuple[bytes, frozenset[str]]:
    """Lay out a report as PDF.

    Args:
        document: to lay out.
        paper: size of the pages.
        fonts: TrueType files for characters that the built-in font lacks, see ``fonts``.

    Returns:
        The content of the file, and the characters that are written as numbers.

    Raises:
        UsageError: a font cannot be used.
    """
    typeface = Typeface(fonts)
    _, pages = _build(document, typeface, paper, total=None)
    content, _ = _build(document, typeface, paper, total=pages)
    return content, frozenset(typeface.missing)


def _build(
    document: blocks.Document, typeface: Typeface, paper: blocks.Paper, total: int | None
) -> tuple[bytes, int]:
    """Return the file and its number of pages; ``total`` is written on each page."""
    buffer = io.BytesIO()
    template = _Template(buffer, document, typeface, paper, total)
    template.build(_flowables(document, typeface, template.width))
    return buffer.getvalue(), template.page


class _Template(BaseDocTemplate):  # type: ignore[misc]  # reportlab has no types
    """Pages with a header, a page number and bookmarks."""

    def __init__(
        self,
        buffer: io.BytesIO,
        document: blocks.Document,
        typeface: Typeface,
        paper: blocks.Paper,
        total: int | None,
    ) -> None:
        super().__init__(
            buffer,
            pagesize=_SIZES[paper],
            leftMargin=_MARGIN,
            rightMargin=_MARGIN,
            topMargin=_MARGIN + _HEAD / 2,
            bottomMargin=_MARGIN,
            title=blocks.visible(document.title),
            author=blocks.visible(document.author),
            subject=blocks.visible(f"Case {document.case_number}, report {document.report_id}"),
            creator="fakelens",
            lang="en",
            invariant=1,
            displayDocTitle=True,
        )
        self._document, self._typeface, self._total = document, typeface, total
        self._headings = 0
        frame = Frame(
            self.leftMargin, self.bottomMargin, self.width, self.height, 0, 0, 0, 0, id="text"
        )
        self.addPageTemplates(PageTemplate("page", [frame], onPage=self._decorate))

    def afterFlowable(self, flowable: Flowable) -> None:  # noqa: N802 - reportlab's name
        """Add a bookmark for a heading."""
        level = getattr(flowable, "outline_level", None)
        if level is None:
            return
        key = f"section-{self._headings}"
        self._headings += 1
        self.canv.bookmarkPage(key)
        self.canv.addOutlineEntry(flowable.outline_title, key, level, closed=False)

    def _decorate(self, canvas: Any, _: BaseDocTemplate) -> None:
        canvas.setDateFormatter(partial(_pdf_date, self._document.dated))
        top = self.pagesize[1] - _MARGIN + 2 * mm
        header = self._header(_MAX_HEADER)
        header.drawOn(canvas, self.leftMargin, top - 3)
        canvas.setStrokeColor(_LINE)
        canvas.setLineWidth(0.4)
        canvas.line(self.leftMargin, top - 6, self.leftMargin + self.width, top - 6)
        canvas.setFont(REGULAR, _SMALL)
        canvas.setFillColor(_QUIET)
        right, bottom = self.leftMargin + self.width, _MARGIN - 6 * mm
        total = "" if self._total is None else f" of {self._total}"
        canvas.drawRightString(right, bottom, f"Page {canvas.getPageNumber()}{total}")
        canvas.drawString(
            self.leftMargin, bottom, "A score is evidence, not proof. Output of software."
        )

    def _header(self, length: int) -> Text:
        """Return the header in one line, with that many characters of the case number at most."""
        case = self._document.case_number
        case = case if len(case) <= length else f"{case[:length]}..."
        left = f"Case {case}  |  Report {self._document.report_id}"
        header = Text(self._typeface.markup(left), _STYLES["margin"])
        _, height = header.wrap(self.width, _HEAD)
        is_one_line = height <= _STYLES["margin"].leading
        return header if is_one_line or not length else self._header(length - 1)


def _pdf_date(dated: str, *_: int) -> str:
    """Return the day of a report in the form of PDF, instead of the day on which it is written."""
    found = _DATE.match(dated)
    return f"D:{''.join(found.groups())}000000Z" if found else "D:19700101000000Z"


def _flowables(document: blocks.Document, typeface: Typeface, width: float) -> list[Flowable]:
    layout = _Layout(typeface, width)
    story: list[Flowable] = [layout.text(document.title, "title")]
    for section in document.sections:
        heading = layout.text(section.title, f"h{section.level}")
        heading.outline_level = section.level - 1
        heading.outline_title = blocks.visible(section.title)
        content = [flowable for block in section.blocks for flowable in layout.block(block)]
        if any(isinstance(block, blocks.BlankLines) for block in section.blocks):
            story.append(KeepTogether([heading, *content]))
        else:
            story += [CondPageBreak(30 * mm), heading, *content]
    if typeface.missing:
        story.append(layout.text(_missing_sentence(typeface.missing), "note"))
    return story


def _missing_sentence(missing: set[str]) -> str:
    return (
        f"{len(missing)} characters that this file cannot show are written as their numbers in "
        "Unicode, such as [U+4E00]. The HTML file shows them."
    )


class _Layout:
    """Turns blocks into reportlab's flowables."""

    def __init__(self, typeface: Typeface, width: float) -> None:
        self._typeface, self._width = typeface, width

    def text(self, text: str, style: str) -> Text:
        return Text(self._typeface.markup(text), _STYLES[style])

    def block(self, block: blocks.Block) -> list[Flowable]:
        match block:
            case blocks.Paragraph():
                text = self.text(block.text, block.voice)
                text.keepWithNext = block.text.endswith(":")  # a list follows
                flowables = [text]
            case blocks.Fields():
                flowables = [self._fields(block), Spacer(0, 5)]
            case blocks.Bullets():
                flowables = [*map(self._bullet, block.items), Spacer(0, 4)]
            case blocks.Table():
                flowables = [*self._table(block), Spacer(0, 6)]
            case blocks.Picture():
                flowables = [KeepTogether(self._picture(block, self._width)), Spacer(0, 6)]
            case blocks.ScoreChart():
                flowables = [KeepTogether(self._chart(block, self._width)), Spacer(0, 6)]
            case blocks.Beside():
                flowables = [self._beside(block), Spacer(0, 6)]
            case blocks.Command():
                flowables = [self._command(block), Spacer(0, 4)]
            case blocks.BlankLines():
                flowables = self._blank_lines(block)
        return flowables

    def _bullet(self, item: str) -> Text:
        return Text(self._typeface.markup(item), _STYLES["bullet"], bulletText="\u2022")

    def _fields(self, block: blocks.Fields) -> Table:
        rows = [[self.text(name, "label"), self.text(value, "cell")] for name, value in block.rows]
        table = Table(rows, [_LABELS, self._width - _LABELS], splitInRow=1)
        table.setStyle(TableStyle([*_CELLS, ("LINEBELOW", (0, 0), (-1, -1), 0.25, _LINE)]))
        return table

    def _table(self, block: blocks.Table) -> list[Flowable]:
        share = self._width / sum(block.widths)
        head = [self.text(each, "head") for each in block.head]
        rows = [[self.text(cell, "cell") for cell in row] for row in block.rows]
        widths = [share * each for each in block.widths]
        # Where a row is split, the heading can be repeated within a page.
        highest = max((_height(row, widths) for row in rows), default=0)
        table = Table([head, *rows], widths, repeatRows=1, splitInRow=int(highest > _MAX_ROW))
        lines = ("LINEBELOW", (0, 0), (-1, -1), 0.25, _LINE)
        table.setStyle(TableStyle([*_CELLS, lines, ("BACKGROUND", (0, 0), (-1, 0), _SHADE)]))
        # With room for the caption, the heading and some rows; a table cannot be kept with it.
        return [
            CondPageBreak(_TABLE_START),
            self.text(block.caption, "caption"),
            Spacer(0, 2),
            table,
        ]

    def _picture(self, block: blocks.Picture, room: float) -> list[Flowable]:
        width = min(room, block.width * self._width)
        height = width * block.size[1] / block.size[0]
        image = Image(io.BytesIO(block.jpeg), width, height, hAlign="LEFT")
        return [image, Spacer(0, 2), self.text(block.caption, "caption")]

    def _chart(self, block: blocks.ScoreChart, width: float) -> list[Flowable]:
        return [_draw_chart(block, width), Spacer(0, 2), self.text(block.caption, "caption")]

    def _beside(self, block: blocks.Beside) -> Table:
        gap = 5 * mm
        left = block.left.width * self._width
        right = self._width - left - gap
        table = Table(
            [[self._picture(block.left, left), "", self._chart(block.right, right)]],
            [left, gap, right],
        )
        table.setStyle(TableStyle([*_CELLS, *_NO_PADDING]))
        return table

    def _command(self, block: blocks.Command) -> Table:
        table = Table([[self.text(block.text, "cell")]], [self._width], splitInRow=1)
        table.setStyle(TableStyle([("BACKGROUND", (0, 0), (-1, -1), _SHADE)]))
        return table

    def _blank_lines(self, block: blocks.BlankLines) -> list[Flowable]:
        lines: list[Flowable] = []
        for label in block.labels:
            rule = HRFlowable(width="100%", thickness=0.5, color=_INK, spaceAfter=2)
            lines += [Spacer(0, 36), rule, self.text(label, "caption")]
        return [*lines, Spacer(0, 6)]


_CELLS = [
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ("LEFTPADDING", (0, 0), (-1, -1), 2),
    ("RIGHTPADDING", (0, 0), (-1, -1), 4),
    ("TOPPADDING", (0, 0), (-1, -1), 1.6),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
]
_NO_PADDING = [("LEFTPADDING", (0, 0), (-1, -1), 0), ("RIGHTPADDING", (0, 0), (-1, -1), 0)]


def _height(row: Sequence[Text], widths: Sequence[float]) -> float:
    """Return the height of the text in a row."""
    sides = 6  # padding of _CELLS
    return max(
        float(cell.wrap(width - sides, math.inf)[1])
        for cell, width in zip(row, widths, strict=True)
    )


def _draw_chart(block: blocks.ScoreChart, width: float) -> Drawing:
    left, bottom, top = 20, 12, 4
    across, up = width - left - 2, _CHART_HEIGHT - bottom - top
    drawing = Drawing(width, _CHART_HEIGHT)

    def x(position: float) -> float:
        return float(left + across * position / 1000)

    def y(score: float) -> float:
        return float(bottom + up * score)

    def placed(path: list[tuple[float, float]]) -> list[float]:
        return [value for px, py in path for value in (x(px), y(1 - py / 100))]

    drawing.add(Rect(left, bottom, across, up, fillColor=None, strokeColor=_LINE, strokeWidth=0.5))
    for outline in _paths(block.curve.cloud.replace("Z", "")):
        drawing.add(
            Polygon(placed(outline), fillColor=colors.HexColor("#cfdbe8"), strokeColor=None)
        )
    for threshold in (block.fake, block.real):
        line = Line(left, y(threshold), left + across, y(threshold), strokeDashArray=(3, 2))
        line.strokeColor, line.strokeWidth = _QUIET, 0.5
        drawing.add(line)
    for path in _paths(block.curve.line):
        drawing.add(PolyLine(placed(path), strokeColor=_ACCENT, strokeWidth=1))
    for score in (0, 0.5, 1):
        drawing.add(_label(left - 3, y(score) - 2, f"{score:g}", "end"))
    for label, position in _apart(block.ticks, across):
        wide = pdfmetrics.stringWidth(label, REGULAR, 6)
        middle = min(max(x(position), left + wide / 2), left + across - wide / 2)
        drawing.add(_label(middle, 3, label, "middle"))
    return drawing


def _apart(ticks: Sequence[tuple[str, float]], across: float) -> Sequence[tuple[str, float]]:
    """Return every n-th tick, so that no label covers another one."""
    widest = max((pdfmetrics.stringWidth(label, REGULAR, 6) for label, _ in ticks), default=0)
    spacing = across * (ticks[1][1] - ticks[0][1]) / 1000 if len(ticks) > 1 else across
    return ticks[:: math.ceil(1.5 * (widest + 3) / spacing)]


def _label(x: float, y: float, text: str, anchor: str) -> String:
    return String(x, y, text, fontName=REGULAR, fontSize=6, fillColor=_QUIET, textAnchor=anchor)


def _paths(path: str) -> list[list[tuple[float, float]]]:
    """Return the points of each stretch of an SVG path of lines."""
    return [
        [(float(a), float(b)) for a, b in (point.split(",") for point in stretch.split("L"))]
        for stretch in path.split("M")[1:]
    ]
