"""``report.html``: one page to look at in a browser, from disk, without a network.

Everything but the videos is inside it. Its content security policy lets nothing else in: no
script, picture or address besides its own and what lies beside it.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from fakelens.explain.cam import METHODS, CamMethod
from fakelens.media.images import decode_image, encode_jpeg
from fakelens.media.reader import open_video
from fakelens.records.findings import Finding, Verdict
from fakelens.records.report import Report
from fakelens.records.tracks import Track
from fakelens.render.style import Style
from fakelens.report import annotated_video as video
from fakelens.report import document, table
from fakelens.report import portraits as pictures
from fakelens.report import source_video as original
from fakelens.report import wording as words
from fakelens.report.charts import Axis, part_areas, part_colours, score_curve
from fakelens.report.heatmap_layer import Layer, pack
from fakelens.report.source_video import Timing

FILE_NAME = "report.html"
_SIDES = {Verdict.FAKE: "fake", Verdict.REAL: "real", Verdict.INCONCLUSIVE: "unsure"}
_STYLES = ("page.css",)
_EARLY_SCRIPTS = ("early.js",)
_SCRIPTS = ("layer.js", "player.js", "lanes.js", "review.js", "page.js")
_LONGEST_SIDE = 1600  # of a still picture in the page, pixels
_KEY_SIDE, _SMALL_SIDE = 320, 120  # of the picture at the key frame


@dataclass(frozen=True, slots=True)
class PageFiles:
    """What the page can show besides the report itself.

    Attributes:
        video: address of the untouched video, relative to the page; ``None`` without a player.
        exact: that it is the input, bit for bit.
        timing: of it.
        unplayable: that browsers do not play the input, if there is no video for that.
        faces: JPEG of what the model saw, as in ``pictures.Portraits``.
        notes: sentences on how the videos differ from the input.
    """

    video: str | None = None
    exact: bool = False
    timing: Timing | None = None
    unplayable: bool = False
    faces: Mapping[int, Mapping[int, bytes]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def write_page(report: Report, folder: Path, style: Style, beside: PageFiles) -> None:
    """Write the page.

    Args:
        report: what to show.
        folder: that holds the report's other files; the page links to those that are there.
        style: how the annotated video was drawn, and the heatmaps at first.
        beside: what else there is to show.

    Raises:
        MediaError: the input is a picture and cannot be read again.
    """
    start = float(report.video.start)
    timing = beside.timing or Timing((), (), start + float(report.video.duration or 0))
    last = max((finding.last for finding in report.findings), default=start)
    axis = Axis(start, max(timing.end - start, last - start, 1e-3))
    method = METHODS[report.cam]
    ranked = pictures.suspicious_first(report)
    detailed = set(ranked[: pictures.MOST_FILMS])
    cards = [
        _person(report, number, folder, axis, beside, detailed=number in detailed)
        for number in sorted(ranked[: pictures.MOST_CARDS])
    ]
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
        "findings": [_told(finding, start) for finding in report.findings],
    }
    html = (
        _environment()
        .get_template("page.html.jinja")
        .render(
            report=report,
            method=method,
            style=style,
            axis=axis,
            summary=words.overall(report),
            persons=cards,
            others=[report.findings[number] for number in sorted(ranked[pictures.MOST_CARDS :])],
            lanes=bool(cards) and not report.video.is_picture,
            any_steadiness=any(f.assessment and f.assessment.robustness for f in report.findings),
            choice=_choosable(method),
            report_identity=_identity(report),
            legend=_legend(method, style, layer, report) if layer else "",
            notes=beside.notes,
            not_examined=words.not_examined(report),
            video=beside.video,
            own_videos=original.NAMES,
            picture=_still(report) if report.video.is_picture else None,
            shown_video=_shown(report, beside),
            annotated=_present(folder, video.FILE_NAME) or _present(folder, pictures.STILL_NAME),
            table=table.FILE_NAME,
            document=document.FILE_NAME,
            facts=_json(facts),
            layer_data=Markup(layer.data if layer else ""),  # noqa: S704 - base64
            policy=_policy(),
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
    environment.filters["clock"] = words.clock
    return environment


@cache
def _asset(names: Sequence[str]) -> Markup:
    folder = resources.files("fakelens.report") / "assets"
    texts = [(folder / name).read_text(encoding="utf-8") for name in names]
    return Markup("\n" + "\n".join(texts))  # noqa: S704 - our own files


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
            "media-src 'self' file:",  # whether a file's own kind is 'self' is for browsers to say
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _json(value: object) -> Markup:
    """JSON that cannot end the element it stands in."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c"))  # noqa: S704 - escaped


def _present(folder: Path, name: str) -> str | None:
    return name if (folder / name).exists() else None


def _person(
    report: Report, number: int, folder: Path, axis: Axis, beside: PageFiles, *, detailed: bool
) -> dict[str, Any]:
    """What the card and the lane of a person show."""
    track, finding = report.tracks[number], report.findings[number]
    assessment = finding.assessment
    curves = min(len(report.tracks), pictures.MOST_CARDS)
    regions = assessment.regions if assessment else None
    faces = beside.faces.get(number, {})
    key = faces.get(finding.key_frame)
    mean = folder / pictures.MEANS_FOLDER / pictures.face_name(finding.person)
    film = detailed and not report.video.is_picture
    robustness = assessment.robustness if assessment else None
    return {
        "finding": finding,
        "side": _SIDES[finding.verdict],
        "hatched": finding.trust_mark == "not better than chance",
        "worth": words.likelihood_ratio_sentence(
            finding.log10_likelihood_ratio, report.model.calibration
        ),
        "trust": words.trust_sentences(assessment),
        "score_range": robustness.score_range if robustness else finding.interval,
        "curve": score_curve(track, report.settings.every, axis, curves),
        "key_face": key and _address(key, _KEY_SIDE if detailed else _SMALL_SIDE),
        "key_time": _seconds(track, finding.key_frame) - axis.start,
        "mean": _address(mean.read_bytes(), 2 * _KEY_SIDE) if detailed and mean.exists() else None,
        "film": _film(track, finding, faces, axis) if film else [],
        "part_colours": part_colours(regions) if regions else [],
        "part_areas": part_areas(regions, axis) if regions else [],
    }


def _film(
    track: Track, finding: Finding, faces: Mapping[int, bytes], axis: Axis
) -> list[tuple[float, int, float, str | None]]:
    """Time, frame, score and picture of the frames with the most evidence, in order of time."""
    frames = sorted(finding.assessment.strongest) if finding.assessment else ()
    strip = []
    for frame in frames:
        observation = track[int(np.searchsorted(track.frames, frame))]
        face = faces.get(frame)
        address = _address(face, pictures.FILM_SIDE) if face else None
        strip.append((observation.time - axis.start, frame, observation.score, address))
    return strip


def _seconds(track: Track, frame: int) -> float:
    return float(track.times[np.searchsorted(track.frames, frame)])


def _told(finding: Finding, start: float) -> dict[str, Any]:
    """What the page's script says of a person."""
    return {
        "person": finding.person,
        "verdict": finding.verdict.value,
        "score": finding.score,
        "first": finding.first - start,
        "last": finding.last - start,
        "spans": [(span.start - start, span.end - start) for span in finding.spans],
    }


def _choosable(method: CamMethod) -> bool:
    """Whether evidence of fake and of real can be shown apart."""
    return method.signed and method.positive == "fake"


def _legend(method: CamMethod, style: Style, layer: Layer, report: Report) -> str:
    """What the colours of the heatmap mean, and what the layer leaves out."""
    if method.positive == "neither":
        said = "Heat marks what the model's layer sees most of, whatever it speaks for"
    elif _choosable(method):
        said = "Warm colours mark areas that speak for fake, blue ones for real"
    else:
        said = f"Heat marks areas that speak for {method.positive}"
    said += f" ({method.title}). All faces are drawn on one scale."
    if style.smooth and not report.video.is_picture:
        said += (
            " Heatmaps and scores over the video are steadied over a tenth of a second; the lanes "
            "show each frame's own score."
        )
    rate = float(report.video.rate or 0) / report.settings.every
    if layer.maps_per_second and layer.maps_per_second < 0.9 * rate:
        said += (
            f" This page keeps {layer.maps_per_second:.1f} heatmaps a second; in between it "
            "interpolates."
        )
    if layer.left_out:
        said += f" {layer.left_out} less suspicious persons are not drawn over the video."
    return said


def _shown(report: Report, beside: PageFiles) -> str:
    """What the player of the page plays."""
    if report.video.is_picture:
        return "the picture, compressed again for this page"
    if beside.video is None:
        why = "browsers do not play the input" if beside.unplayable else "it was left out"
        return f"no video: {why}"
    if beside.exact:
        return f"{beside.video}, the input bit for bit"
    changes = " ".join(("", *beside.notes))
    return f"{beside.video}, written anew, since browsers do not play the input as it is.{changes}"


def _identity(report: Report) -> str:
    """Of this report, to tell it from others of the same video."""
    made = report.provenance
    told = (made.input_sha256, made.model_sha256, made.created, *map(str, report.findings))
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:32]


def _still(report: Report) -> str:
    """The untouched picture, not larger than a screen."""
    with open_video(report.source) as reader:
        image = next(iter(reader.frames())).image
    return _address(encode_jpeg(image, 95), _LONGEST_SIDE)


def _address(picture: bytes, width: int) -> str:
    """A data address of a JPEG or PNG, as a JPEG of at most a width."""
    jpeg = encode_jpeg(pictures.shrunk(decode_image(picture), width), 82)
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
