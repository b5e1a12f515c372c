"""The examiner's report as one HTML file, to open from disk and without a network."""

import base64
import hashlib
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from fakelens.casework.blocks import Document, visible


def write_html(document: Document) -> str:
    """Lay out a report as HTML.

    Its content security policy allows no scripts, and nothing from outside the file.
    """
    styles = _styles()
    digest = base64.b64encode(hashlib.sha256(styles.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )
    template = _environment().get_template("report.html.jinja")
    return template.render(document=document, styles=styles, policy=policy)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("fakelens.casework"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    environment.filters["base64"] = lambda data: base64.b64encode(data).decode()
    return environment


def _visible(value: Any) -> Any:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def _styles() -> Markup:
    path = resources.files("fakelens.casework") / "assets" / "report.css"
    return Markup("\n" + path.read_text(encoding="utf-8"))  # noqa: S704 - our own file
