"""The documentation site builds without warnings, is complete, and loads nothing from elsewhere."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
NEEDED = ("sphinx", "furo", "myst_parser")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not all(find_spec(name) for name in NEEDED), reason="the extra docs is not installed"
    ),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; any warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    options = ("-W", "--keep-going", "-q", "-b", "html", "-d", str(folder / "doctrees"))
    command = [sys.executable, "-m", "sphinx", *options, str(DOCS), str(folder / "html")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "html"


class Page(HTMLParser):
    """What a page loads, what it links to, and its anchors."""

    LOADING = frozenset({"script", "img", "iframe", "audio", "video", "source", "embed", "object"})

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag == "link" and "href" in values:
            self.loads.append(values["href"])
        elif tag in self.LOADING:
            self.loads += [values[name] for name in ("src", "srcset", "data") if name in values]
        self.loads += re.findall(r"url\(\s*['\"]?([^'\")]+)", values.get("style", ""))


def test_every_page_of_the_docs_is_in_the_site(site: Path) -> None:
    pages = [path.relative_to(DOCS) for path in DOCS.rglob("*.md")]
    assert len(pages) > 25
    menu = Page(site / "index.html").links
    for page in pages:
        address = page.with_suffix(".html").as_posix()
        assert (site / address).is_file()
        assert address in menu or address == "index.html"


def test_files_outside_of_docs_are_shown_in_full(site: Path) -> None:
    for page, words in {
        "how-to/contribute": "Rules for text",
        "how-to/train": "EfficientNet-Lite2",
        "reference/changelog": "Report schema 3",
    }.items():
        assert words in (site / f"{page}.html").read_text(encoding="utf-8")


def test_pages_load_nothing_from_other_hosts(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    for path in pages:
        for address in Page(path).loads:
            parts = urlsplit(address)
            assert parts.scheme in ("", "data"), f"{path.name}: {address}"
            assert not parts.netloc, f"{path.name}: {address}"
    for path in site.rglob("*.css"):
        text = path.read_text(encoding="utf-8")
        assert "@import" not in text
        for address in re.findall(r"url\(\s*['\"]?([^'\")]+)", text):
            assert address.startswith("data:") or not urlsplit(address).netloc, address
    for path in site.rglob("*.js"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"(fetch|importScripts|import)\(\s*['\"`](https?:)?//", text), (
            path.name
        )


def test_the_check_of_loaded_files_can_fail(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text('<script src="https://a.test/x.js"></script><a href="https://b.test">b</a>')
    assert Page(page).loads == ["https://a.test/x.js"]


def test_links_within_the_site_resolve(site: Path) -> None:
    pages = {path: Page(path) for path in site.rglob("*.html")}
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.exists(), f"{path.name}: {link}"
            if parts.fragment and target in pages:
                assert unquote(parts.fragment) in pages[target].anchors, f"{path.name}: {link}"


def test_the_schema_can_be_downloaded(site: Path) -> None:
    schema = (DOCS / "reference" / "report.schema.json").read_bytes()
    links = Page(site / "reference" / "outputs.html").links
    (link,) = {link for link in links if link.endswith("/report.schema.json")}
    assert (site / "reference" / link).resolve().read_bytes() == schema
