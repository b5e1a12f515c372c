"""What a reader without scripts has of a page."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """The text of a page, its tags and what it links to.

    Attributes:
        tags: in order.
        links: addresses of what is loaded or linked to.
        attributes: of all elements, in order.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self._text: list[str] = []
        self._within: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._within.append(tag)
        given = [(name, value or "") for name, value in attrs]
        self.attributes += given
        self.links += [v for name, v in given if name in ("src", "href", "srcset", "action")]

    def handle_endtag(self, tag: str) -> None:
        while self._within and self._within.pop() != tag:
            pass  # elements without an end

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self._within):
            self._text.append(data)

    @property
    def words(self) -> str:
        """The text, with single spaces."""
        return " ".join(" ".join(self._text).split())
