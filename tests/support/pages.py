"""HTML pages without their scripts."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """The text of a page, its tags and what it links to.

    Attributes:
        tags: names of all start tags, in order.
        links: URLs that the page loads or links to.
        attributes: names and values of all attributes, in order.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self._text: list[str] = []
        self._open_tags: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._open_tags.append(tag)
        given = [(name, value or "") for name, value in attrs]
        self.attributes += given
        self.links += [v for name, v in given if name in ("src", "href", "srcset", "action")]

    def handle_endtag(self, tag: str) -> None:
        while self._open_tags and self._open_tags.pop() != tag:
            pass  # elements without an end tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self._open_tags):
            self._text.append(data)

    @property
    def text(self) -> str:
        """The visible text, with single spaces."""
        return " ".join(" ".join(self._text).split())
