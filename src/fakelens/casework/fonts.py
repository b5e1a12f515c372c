"""Fonts of the PDF: which characters can be shown, and what becomes of the others.

The text is set in Bitstream Vera, which comes with reportlab and covers Western European languages.
Other characters are taken from font files of the user. Characters of no font are written as their
number in Unicode, and so are letters that need more than a glyph: those written from right to left,
and combining marks, which this PDF writer cannot place.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from xml.sax.saxutils import escape

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFError, TTFont

from fakelens.casework.blocks import code_point, visible
from fakelens.errors import UsageError

REGULAR, BOLD = "Vera", "VeraBd"

_RIGHT_TO_LEFT = {"R", "AL", "AN"}
_COMBINING = {"Mn", "Mc", "Me"}
_NEWLINE = "\n"


class Typeface:
    """Turns text into the markup of reportlab's paragraphs, each character in a font that has it.

    Args:
        files: TrueType fonts for characters that Vera lacks, the first one that has a character is
            used.

    Attributes:
        missing: characters that were written as numbers so far.

    Raises:
        UsageError: a file is not a TrueType font.
    """

    def __init__(self, files: Sequence[Path] = ()) -> None:
        self.missing: set[str] = set()
        self._fonts = [_register(name, f"{name}.ttf") for name in (REGULAR, BOLD)][:1]
        self._fonts += [_load(f"Extra{number}", path) for number, path in enumerate(files)]

    def markup(self, text: str) -> str:
        """Return a text as markup; it looks the same whatever characters it contains."""
        return "".join(self._runs(visible(text)))

    def _runs(self, text: str) -> Iterator[str]:
        for font, characters in groupby(text, self._font_of):
            run = "".join(characters)
            if font is None:
                self.missing.update(run)
                yield "".join(map(code_point, run))
            elif font is self._fonts[0]:
                yield escape(run).replace(_NEWLINE, "<br/>")
            else:
                yield f'<font name="{font.fontName}">{escape(run)}</font>'

    def _font_of(self, character: str) -> TTFont | None:
        if character in "\n\t ":
            return self._fonts[0]
        needs_more = (
            unicodedata.bidirectional(character) in _RIGHT_TO_LEFT
            or unicodedata.category(character) in _COMBINING
        )
        if needs_more:
            return None
        return next((f for f in self._fonts if ord(character) in f.face.charToGlyph), None)


def _load(name: str, path: Path) -> TTFont:
    try:
        return _register(name, str(path))
    except (TTFError, OSError) as error:
        raise UsageError(f"{path}: not a TrueType font (.ttf) that can be read: {error}") from error


def _register(name: str, file: str) -> TTFont:
    font = TTFont(name, file)
    pdfmetrics.registerFont(font)
    return font
