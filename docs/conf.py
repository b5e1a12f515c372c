"""Configuration of the documentation site: ``sphinx-build -W --keep-going -b html docs site``.

Nothing in the built pages is loaded from another host.
"""

import os
import re
from importlib.metadata import version as version_of
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode

project = "fakelens"
author = "The fakelens authors"
copyright = author
release = version_of("fakelens")
version = release

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["images"]

myst_heading_anchors = 4  # the anchors that hosting sites give to headings

autodoc_member_order = "bysource"
autodoc_mock_imports = [] if find_spec("torch") else ["torch"]  # an extra of its own
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_typehints_format = "short"
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # the attributes of a dataclass as a list, not as members
python_use_unqualified_type_names = True

# Every reference to a name of fakelens must resolve. Names of other libraries are not looked up,
# because that would need a download.
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(numpy|np|pathlib|collections|fractions|typing|torch|enum|onnx)\..*"),
    (r"py:.*", r"(Path|NDArray|Fraction|Sequence|Mapping|Callable|Iterator|Protocol|StrEnum)"),
]

smartquotes = False  # they would change options and quotes in messages
html_theme = "furo"
html_title = f"fakelens {release}"
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}
pygments_style = "friendly"
pygments_dark_style = "monokai"

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SHOWN = {
    "how-to/code-of-conduct": "CODE_OF_CONDUCT.md",
    "how-to/contribute": "CONTRIBUTING.md",
    "how-to/examples": "examples/README.md",
    "how-to/security": "SECURITY.md",
    "how-to/train": "training/README.md",
    "how-to/benchmark": "benchmarks/README.md",
    "reference/changelog": "CHANGELOG.md",
}
"""Pages of the site whose text is a file outside of ``docs``."""

LINK = re.compile(r"(\]\()(?!https?://|#)([^)#\s]+)")


def show_files(app: Sphinx, page: str, source: list[str]) -> None:
    """Put the files of ``SHOWN`` into their pages, and point links to them there."""
    path = DOCS / f"{page}.md"
    if page in SHOWN:
        path = ROOT / SHOWN[page]
        app.env.note_dependency(str(path))
        source[0] = path.read_text(encoding="utf-8")
    pages = {ROOT / "README.md": DOCS / "index.md"}
    pages |= {ROOT / file: DOCS / f"{page}.md" for page, file in SHOWN.items()}

    def from_page(link: re.Match[str]) -> str:
        target = Path(os.path.normpath(path.parent / link[2]))
        target = pages.get(target, target)
        return link[1] + Path(os.path.relpath(target, (DOCS / page).parent)).as_posix()

    source[0] = LINK.sub(from_page, source[0])


def find_by_last_name(
    _app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.reference | None:
    """Resolve ``UsageError`` to ``fakelens.errors.UsageError`` if only one name ends like that."""
    domain: Any = env.domains["py"]
    if node.get("refdomain") != "py":
        return None
    found = domain.find_obj(env, None, None, node["reftarget"], None, searchmode=1)
    if len({entry.node_id for _, entry in found}) != 1:
        return None
    name, entry = found[0]
    builder = _app.builder
    return make_refnode(builder, node["refdoc"], entry.docname, entry.node_id, content, name)


def keep_properties(app: Sphinx) -> None:
    """Keep Napoleon from reading the words before a colon as the type of a property."""
    texts: dict[str, list[str]] = {}

    def save(
        _app: Sphinx, what: str, name: str, _obj: Any, _options: Any, lines: list[str]
    ) -> None:
        if what == "property":
            texts[name] = list(lines)

    def restore(_app: Sphinx, _what: str, name: str, _obj: Any, _options: Any, lines: Any) -> None:
        lines[:] = texts.pop(name, lines)

    app.connect("autodoc-process-docstring", save, priority=400)
    app.connect("autodoc-process-docstring", restore, priority=600)


def setup(app: Sphinx) -> None:
    """Connect the functions above."""
    app.connect("source-read", show_files)
    app.connect("missing-reference", find_by_last_name)
    keep_properties(app)
