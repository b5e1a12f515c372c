"""``report.html``: the report as one page, to open in a browser from disk and without a network.

Everything except the videos is inside the page. Its content security policy allows no scripts,
styles, pictures or connections other than its own and the files beside it.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from fakelens.explain.cam import METHODS
from fakelens.media.reader import open_video
from fakelens.records.findings import Finding, Verdict
from fakelens.records.report import Report
from fakelens.records.times import format_time
from fakelens.render.overlay import specificity_of
from fakelens.render.ranking import rank_by_suspicion
from fakelens.render.style import Style
from fakelens.report import annotated_video, document, portraits, source_video, table, wording
from fakelens.report.cards import make_card
from fakelens.report.charts import Axis
from fakelens.report.crowd import MAX_IN_FULL, make_rows
from fakelens.report.error_rates import error_rate_sentence, error_rows
from fakelens.report.first_page import make_first_page
from fakelens.report.heatmap_layer import pack
from fakelens.report.keyframes import FOLDER as KEYFRAMES_FOLDER
from fakelens.report.legend import colour_bar, colour_ticks, make_legend, shows_both_sides
from fakelens.report.next_steps import next_steps
from fakelens.report.opinion_section import compare_opinions
from fakelens.report.opinions import NOT_INDEPENDENT
from fakelens.report.page_files import PageFiles
from fakelens.report.same_person import seen_again
from fakelens.report.source_video import Timing
from fakelens.report.verdict_strip import SIDES, make_strip

FILE_NAME = "report.html"
_STYLES = ("look.css", "page.css", "verdict.css", "crowd.css", "review.css", "paper.css")
_EARLY_SCRIPTS = ("early.js",)
_REVIEW_SCRIPTS = (
    "review/store.js",
    "review/words.js",
    "review/history.js",
    "review/aside.js",
    "review/saving.js",
    "review/marks.js",
    "review/keys.js",
    "review/comparison.js",
    "review/agreement.js",
    "review/items.js",
    "review/others.js",
    "review/form.js",
)
_SCRIPTS = (
    *("isolines.js", "labels.js", "layer.js"),
    *("player.js", "lanes.js", "crowd.js"),
    *_REVIEW_SCRIPTS,
    "page.js",
)
_MAX_STILL_WIDTH = 1600  # of a still picture in the page, pixels


def write_page(report: Report, folder: Path, style: Style, files: PageFiles) -> None:
    """Write ``report.html``.

    Args:
        report: to show.
        folder: contains the report's other files; the page links to those that exist.
        style: of the annotated video, and the initial settings of the heatmap layer.
        files: what the page shows besides the report.

    Raises:
        MediaError: the input is a picture and cannot be read again, and ``files.lost`` is not set.
    """
    start = float(report.video.start)
    timing = files.timing or Timing((), (), start + float(report.video.duration or 0))
    last = max((finding.last for finding in report.findings), default=start)
    axis = Axis(start, max(timing.end - start, last - start, 1e-3))
    method = METHODS[report.cam]
    ranked = rank_by_suspicion(report)
    detailed = set(ranked[: portraits.MAX_FILM_STRIPS])
    is_crowd = len(ranked) > MAX_IN_FULL
    shown = ranked[: portraits.MAX_CARDS]
    cards = [
        make_card(report, number, folder, axis, style, files, detailed=number in detailed)
        for number in shown
    ]
    judged = sum(report.findings[number].seen_well for number in shown)  # they come first
    charts = min(judged or len(cards), MAX_IN_FULL) if is_crowd else len(cards)
    layer = pack(report, style) if report.tracks else None
    facts = {
        "layer": layer.facts if layer else None,
        "sha256": report.provenance.input_sha256,
        "report": _identity(report),
        "name": report.provenance.input_name,
        "start": start,
        "duration": axis.duration,
        "step": 1 / float(report.video.rate or 25),
        "keys": [round(key - start, 4) for key in timing.keys],
        "frames": [round(frame - start, 4) for frame in timing.frames],
        "decisive": report.decisive.person if report.decisive else None,
        "findings": [_finding_facts(finding, start) for finding in report.findings],
    }
    html = (
        _environment()
        .get_template("page.html.jinja")
        .render(
            report=report,
            method=method,
            style=style,
            axis=axis,
            summary=wording.overall(report),
            first_page=make_first_page(report),
            scene=files.scene,
            strip=make_strip(report, folder, files.faces),
            next=next_steps(report, files.keyframes, player=files.video is not None),
            opinions=compare_opinions(report, folder, FILE_NAME),
            not_independent=NOT_INDEPENDENT,
            error_rates=error_rate_sentence(report.model, report.thresholds),
            error_records=[(one, error_rows(one)) for one in report.model.error_records],
            ratio_limit=wording.ratio_limit_sentence(report.model),
            persons=cards,
            people=len(ranked),
            unscored=len(report.findings) - len(ranked),
            crowd=make_rows(report, ranked, files.faces) if is_crowd else [],
            carded={report.findings[number].person for number in shown},
            seen_again=seen_again(report.findings),
            lanes=cards[:charts] if not report.video.is_picture else [],
            more_lanes=cards[charts:],
            has_robustness=any(f.assessment and f.assessment.robustness for f in report.findings),
            has_specificity=any(map(specificity_of, report.findings)),
            has_domain=any(finding.domain for finding in report.findings),
            has_evidence_choice=shows_both_sides(method),
            report_identity=_identity(report),
            legend=make_legend(method, style, layer, report) if layer else None,
            colour_bar=colour_bar(style, both=shows_both_sides(method)),
            colour_ticks=colour_ticks(both=shows_both_sides(method)),
            undecided=any(f.verdict is Verdict.INCONCLUSIVE for f in report.findings),
            notes=files.notes,
            not_examined=wording.not_examined(report),
            video=files.video,
            video_advice=_advice(files),
            picture=_still(report) if report.video.is_picture and not files.lost else None,
            shown_video=_describe_video(report, files),
            annotated=_if_exists(folder, annotated_video.FILE_NAME)
            or _if_exists(folder, portraits.STILL_NAME),
            keyframes=KEYFRAMES_FOLDER if files.keyframes else None,
            table=table.FILE_NAME,
            document=document.FILE_NAME,
            facts=_json(facts),
            layer_data=Markup(layer.data if layer else ""),  # noqa: S704 - base64
            policy=_policy(),
            icon=_icon(),
            styles=_asset(_STYLES),
            early_script=_asset(_EARLY_SCRIPTS),
            script=_asset(_SCRIPTS),
        )
    )
    (folder / FILE_NAME).write_text(html, encoding="utf-8")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("fakelens.report"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["side"] = SIDES.__getitem__  # of a verdict
    environment.filters["clock"] = format_time
    environment.filters["keep_units"] = lambda text: text.replace(" %", "\u00a0%")  # on one line
    return environment


@cache
def _asset(names: Sequence[str]) -> Markup:
    folder = resources.files("fakelens.report") / "assets"
    texts = [(folder / name).read_text(encoding="utf-8") for name in names]
    return Markup("\n" + "\n".join(texts))  # noqa: S704 - our own files


@cache
def _icon() -> str:
    """Return the program's icon as a data URL."""
    data = (resources.files("fakelens.report") / "assets" / "icon.svg").read_bytes()
    return f"data:image/svg+xml;base64,{base64.b64encode(data).decode()}"


def _policy() -> str:
    def hashed(names: Sequence[str]) -> str:
        digest = hashlib.sha256(_asset(names).encode()).digest()
        return f"'sha256-{base64.b64encode(digest).decode()}'"

    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {hashed(_EARLY_SCRIPTS)} {hashed(_SCRIPTS)}",
            f"style-src {hashed(_STYLES)}",
            "img-src data:",
            "media-src 'self' file:",  # browsers differ on whether 'self' covers files
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _json(value: object) -> Markup:
    """Return a value as JSON that is safe inside a script element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c"))  # noqa: S704 - escaped


def _if_exists(folder: Path, name: str) -> str | None:
    return name if (folder / name).exists() else None


def _finding_facts(finding: Finding, start: float) -> dict[str, Any]:
    """Return what the page's script needs to know of a person."""
    return {
        "person": finding.person,
        "verdict": finding.verdict.value,
        "score": finding.score,
        "first": finding.first - start,
        "last": finding.last - start,
        "spans": [(span.start - start, span.end - start) for span in finding.spans],
    }


def _describe_video(report: Report, files: PageFiles) -> str:
    """Say what the player of the page plays."""
    if files.lost:
        return f"nothing: {files.lost}"
    if report.video.is_picture:
        return "the picture, recompressed for this page"
    if files.video is None:
        return f"no video: {'browsers cannot play the input' if files.unplayable else 'left out'}"
    if files.exact:
        kind = "an exact copy of the input" if files.copied else "the input itself"
        return f"{files.video}, {kind}"
    changes = " ".join(("", *files.notes))
    return f"{files.video}, re-encoded: browsers do not show the input as examined.{changes}"


def _advice(files: PageFiles) -> str:
    """Say what to do if the browser does not find the video."""
    if not files.copied:
        return "Move the file back to where it was when it was analyzed."
    if files.video in source_video.NAMES:
        return "Keep the file in the same folder as this page."
    return "Keep the folder of this page inside the folder of the results."


def _identity(report: Report) -> str:
    """Return an identifier that differs between reports, also between those of one video."""
    made = report.provenance
    parts = (made.input_sha256, made.model_sha256, made.created, *map(str, report.findings))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _still(report: Report) -> str:
    """Return the original picture as a data URL, scaled down to the size of a screen."""
    with open_video(report.source, report.video.stream) as reader:
        image = next(iter(reader.frames())).image
    return portraits.data_url(image, _MAX_STILL_WIDTH)
