"""Count what a reader meets in ``report.html``: words, numbers and height, in a real browser.

``python -m benchmarks.page_reading FOLDER...`` measures the reports in these folders, also of other
versions. Without a folder, the demo clip is analyzed. ``--pictures`` saves screenshots and the
printed page.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import fakelens
from fakelens.evaluation import demo

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.browser import running_browser

SCREENS = ((1440, 900), (1024, 768), (390, 844))  # CSS pixels
FILE_NAME = "report.html"
KEYS = ("words", "numbers", "height")  # of a card

# Counts the visible words and numbers of the page, its first screen and its cards.
COUNT = r"""
() => {
  const textIn = (part, bottom = Infinity) => {
    const walker = document.createTreeWalker(part, NodeFilter.SHOW_TEXT), found = [];
    const range = document.createRange();
    while (walker.nextNode()) {
      const node = walker.currentNode;
      if (node.parentElement.closest("script, style, .unseen, option, text")) continue;
      if (!node.parentElement.checkVisibility({ visibilityProperty: true })) continue;
      range.selectNodeContents(node);
      const box = range.getBoundingClientRect();
      if (box.width && box.bottom <= bottom) found.push(node.data);
    }
    return found.join(" ");
  };
  const count = (text) => ({
    words: (text.match(/\p{L}[\p{L}'-]*/gu) ?? []).length,
    numbers: (text.match(/\d+(?:[.:]\d+)*/g) ?? []).length,
  });
  const cards = [...document.querySelectorAll("article[id^=person-]")];
  return {
    first: count(textIn(document.body, innerHeight)),
    page: count(textIn(document.body)),
    height: document.documentElement.scrollHeight,
    overflow: document.documentElement.scrollWidth - innerWidth,
    card: cards.map((one) => ({ ...count(textIn(one)), height: one.offsetHeight })),
  };
}
"""

HEADS = (
    "report | screen | first screen: words | numbers | page: words | numbers | height, px"
    " | each card: words | numbers | height, px"
)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reports", type=Path, nargs="*", help="folders with a report.html")
    parser.add_argument("--pictures", type=Path, help="folder for screenshots and PDF files")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folders = options.reports or [make_report(Path(temporary))]
        print(f"| {HEADS} |\n|{'---|' * (HEADS.count('|') + 1)}")
        for folder in folders:
            measure(folder, options.pictures)


def make_report(folder: Path) -> Path:
    """Analyze the demo clip and return the folder of its report."""
    demo.make_clip(folder / "demo.mp4")
    fakelens.save_report(fakelens.analyze(folder / "demo.mp4"), folder / "demo")
    return folder / "demo"


def measure(folder: Path, pictures: Path | None) -> None:
    """Print a line for each screen, and save pictures if there is a folder for them."""
    address = (folder / FILE_NAME).resolve().as_uri()
    with running_browser() as browser:
        for width, height in SCREENS:
            page = browser.new_page(viewport={"width": width, "height": height})
            page.goto(address)
            page.wait_for_selector("html[data-ready=yes]")
            page.wait_for_timeout(500)  # the video's first frame
            found = page.evaluate(COUNT)
            if found["overflow"] > 0:
                print(f"{folder.name} at {width} px: {found['overflow']} px too wide")
            counts = (*found["first"].values(), *found["page"].values(), found["height"])
            cards = [", ".join(str(card[key]) for card in found["card"]) for key in KEYS]
            cells = (folder.name, f"{width} x {height}", *map(str, counts), *cards)
            print(f"| {' | '.join(cells)} |")
            if pictures:
                pictures.mkdir(parents=True, exist_ok=True)
                page.screenshot(path=pictures / f"{folder.name}-{width}.png")
            page.close()
        if pictures:
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.goto(address)
            page.wait_for_selector("html[data-ready=yes]")
            page.pdf(path=pictures / f"{folder.name}.pdf", format="A4", print_background=True)


if __name__ == "__main__":
    main()
