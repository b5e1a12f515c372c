"""What a reader can do next, depending on the verdict. The page links to nothing outside."""

import shlex
from dataclasses import dataclass

import numpy as np

from fakelens.records.findings import Finding, Verdict
from fakelens.records.report import Report
from fakelens.report.keyframes import Keyframe

_SECOND_MODELS = (("mesoinception4-df", True), ("fakelens-patch", False))  # must it be fetched?


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do.

    Attributes:
        title: what to do, a few words.
        details: how, and why; sentences.
        time: moment of the video to look at, seconds since its start; ``None`` for none.
        moment: why this moment, a few words.
        command: to run; empty for none.
        keyframes: pictures to use.
        link: fragment of the page; empty for none.
    """

    title: str
    details: str
    time: float | None = None
    moment: str = ""
    command: str = ""
    keyframes: tuple[Keyframe, ...] = ()
    link: str = ""


@dataclass(frozen=True, slots=True)
class NextSteps:
    """What to do next.

    Attributes:
        lead: one sentence; may be empty.
        steps: the most useful first.
    """

    lead: str
    steps: list[Step]


def next_steps(report: Report, keyframes: tuple[Keyframe, ...], *, player: bool) -> NextSteps:
    """Return what to do next for a report.

    Args:
        report: of the page.
        keyframes: of the report.
        player: whether the page plays the video.
    """
    decisive = report.decisive
    medium = "picture" if report.video.is_picture else "video"
    earliest = Step(
        "Find the earliest copy",
        f"Look for the first publication of this {medium}. An earlier or longer version, or a "
        "better copy, says more than any score. Analyze the best copy again.",
    )
    reverse = _reverse_search(report, keyframes)
    source = Step(
        "Check source and metadata",
        "Who published it first, when and where? Is that account what it says it is? Compare date, "
        "place, weather and clothes with other sources. Read the metadata of the file.",
    )
    look = _moment(report, decisive) if decisive and player else None
    listen = _voice(report)
    second = _second_model(report)
    if not report.findings:
        lead = "fakelens examines faces only, and found none."
        steps = [earliest, reverse, source, listen]
    elif decisive is None:
        lead = "A better copy may help."
        steps = [earliest, reverse, source, listen]
    elif decisive.verdict is Verdict.FAKE:
        lead = ""
        steps = [look, earliest, reverse, source, second, listen]
    elif decisive.verdict is Verdict.REAL:
        lead = "No alarm does not mean genuine."
        steps = [earliest, reverse, source, listen, second, look]
    else:
        lead = ""
        steps = [earliest, reverse, second, look, source, listen]
    return NextSteps(lead, [step for step in steps if step])


def _reverse_search(report: Report, keyframes: tuple[Keyframe, ...]) -> Step:
    if report.video.is_picture:
        return Step(
            "Reverse-search the picture",
            "Give the original file to a reverse image search. This page uploads nothing.",
        )
    if not keyframes:
        return Step(
            "Reverse-search some frames",
            "Save a few frames and give them to a reverse image search. This page uploads nothing.",
        )
    return Step(
        "Reverse-search these frames",
        "Give the pictures in the folder keyframes to a reverse image search, one by one. This "
        "page uploads nothing.",
        keyframes=keyframes,
    )


def _moment(report: Report, finding: Finding) -> Step:
    number = report.findings.index(finding)
    track = report.tracks[number]
    counted = np.where(track.usable, track.logits, -np.inf)
    time = float(track.times[counted.argmax()])
    moment = "highest score"
    if finding.verdict is not Verdict.FAKE and finding.spans:
        time, moment = finding.spans[0].start, "suspicious stretch"
    seconds = time - float(report.video.start)
    return Step(
        f"Look at person {finding.person}",
        "Switch the heatmap off (H) and step through the frames (arrow keys): are there edges, "
        "changes in sharpness, or flicker, at the mouth, the eyes and the outline of the face?",
        time=seconds,
        moment=moment,
    )


def _voice(report: Report) -> Step | None:
    if not report.video.audio:
        return None
    return Step(
        "Listen to the voice",
        "fakelens does not: a voice can be cloned in a genuine picture. Compare it with other "
        "recordings, and the lips with the words.",
    )


def _second_model(report: Report) -> Step:
    if report.second_opinions:
        return Step(
            "Compare the second model",
            "Models that were trained alike can be wrong together.",
            link="second-opinion",
        )
    own, names = report.model.name, [name for name, _ in _SECOND_MODELS]
    other, fetched = next(one for one in _SECOND_MODELS if one[0] != own)
    both = f"--model {own} --model {other}" if own in names else f"--model {other}"
    pull = f"fakelens models pull {other}\n" if fetched else ""
    name = shlex.quote(report.provenance.input_name)
    return Step(
        "Ask a second model",
        "Two models can share a mistake; if they disagree, treat the result as inconclusive.",
        command=f"{pull}fakelens analyze {name} {both} -o second_model",
    )
