"""The sections on the method: software, coverage, heatmaps, validation and repetition."""

from collections.abc import Sequence
from dataclasses import replace

from fakelens.casework import causes
from fakelens.casework.blocks import Block, Bullets, Command, Fields, Paragraph, Table
from fakelens.casework.coverage import Coverage, cover, excluded_sentence
from fakelens.casework.examination import Examination
from fakelens.casework.repetition import repeat_command, settings_sentence
from fakelens.explain.cam import METHODS
from fakelens.records.models import ErrorRecord
from fakelens.records.report import Report
from fakelens.render.overlay import specificity_of
from fakelens.report.error_rates import ErrorRow, error_rate_sentence, error_rows
from fakelens.report.opinions import NOT_INDEPENDENT, answers, model_labels, overview
from fakelens.report.wording import damage_sentences, not_examined, ratio_limit_sentence

HEATMAPS_SHOW = (
    "Heatmaps show what moved the model's score. They do not show which part of the picture was "
    "edited, or that any part was."
)
_MAX_ITEMS = 12


def method(report: Report) -> tuple[Block, ...]:
    """Return tool, model, thresholds, settings, machine and versions."""
    made, card, used = report.provenance, report.model, report.thresholds
    calibration = card.calibration
    return (
        Paragraph(
            "The software finds and tracks every face, and a detector model scores each face from "
            "0 (real) to 1 (fake). The scores of a person are combined to one score with a 95 % "
            "interval. The verdict compares that score with two thresholds."
        ),
        Fields(
            (
                ("Software", f"fakelens {made.versions.get('fakelens', 'unknown')}"),
                ("Model", f"{card.name}, version {card.version}: {card.description}"),
                ("Model file", f"SHA-256 {made.model_sha256 or 'none: not loaded from a file'}"),
                ("Origin, licence", f"{card.source}; {card.licence}"),
                ("Training data", card.trained_on),
                (
                    "Thresholds",
                    f"likely fake from {used.fake:.2f}, likely real up to {used.real:.2f}, "
                    "inconclusive between them",
                ),
                ("Their source", used.source),
                (
                    "Calibration",
                    f"{calibration.method}. Data: {calibration.data}"
                    if calibration
                    else "none: scores are not related to likelihood ratios",
                ),
                ("Likelihood ratios", ratio_limit_sentence(card)),
                ("Face detector", made.detector),
                ("Settings", settings_sentence(report)),
                ("Machine", f"{made.platform}; model run on {made.device or 'unknown'}"),
                ("Versions", ", ".join(f"{name} {one}" for name, one in made.versions.items())),
                ("Command", repeat_command(report)),
            )
        ),
    )


def coverage(report: Report) -> tuple[Block, ...]:
    """Return how much of the input was examined, and what was not."""
    found = cover(report)
    rows = [
        ("Frames decoded", f"{found.decoded:,}"),
        ("Frames examined", f"{found.examined:,}"),
        ("Examined frames without a face", _frames(found.examined - found.with_face, found.step)),
        *_seconds(found),
        ("Places that could not be read", f"{len(report.damage)}"),
        ("Faces examined", f"{found.faces:,}"),
        ("Faces not counted, by reason", excluded_sentence(found.excluded)),
    ]
    damage = damage_sentences(report)
    scored = tuple(finding for finding in report.findings if finding.score is not None)
    # General statements first: the list is cut after some people without a score.
    general = not_examined(replace(report, findings=scored))
    gaps = [*general, *(item for item in not_examined(report) if item not in general)]
    gaps = [item for item in gaps if item not in damage]
    return (
        Fields(tuple(rows)),
        *_listed("Places that could not be read:", damage),
        *_listed("Not examined or not counted, as the software reports it:", gaps),
    )


def heatmaps(report: Report) -> tuple[Block, ...]:
    """Return how the heatmaps were made and tested, and what they do not show."""
    if not report.tracks:
        return (Paragraph("No face was found, so there are no heatmaps."),)
    used = METHODS[report.cam]
    compared = any(map(specificity_of, report.findings))
    unit = "contribution to the logit" if used.unit == "logit" else "arbitrary"
    rows = [
        ("Method", f"{used.title} ({used.reference}). {used.note}"),
        ("Unit of a cell", unit),
        ("Scale", "one for all faces of the item; a face without evidence stays clear"),
        (
            "Shown",
            "the difference to the mean heatmap on genuine faces"
            if compared
            else "the whole heatmap, not compared with genuine faces",
        ),
        (
            "Tests",
            "whether the score depends on the marked areas (faithful to the model), and whether "
            "they exceed those on genuine faces (specific to this face); results are with each "
            "person"
            if report.settings.trust
            else "none: the trust measures were switched off",
        ),
    ]
    if report.model.baseline and compared:
        baseline = report.model.baseline
        rows.append(("Genuine faces", f"{baseline.faces:,} {baseline.data}"))
    return (Paragraph(HEATMAPS_SHOW), Fields(tuple(rows)))


def opinions(report: Report) -> tuple[Block, ...]:
    """Return what other models say; empty without any."""
    if not report.second_opinions:
        return ()
    labels = model_labels(report)
    rates = [
        error_rate_sentence(report.model, report.thresholds),
        *(error_rate_sentence(one.model, one.thresholds) for one in report.second_opinions),
    ]
    rows = tuple(
        (
            str(row[0].finding.person),
            *(
                f"{answer.finding.verdict}, {answer.finding.score:.2f}"
                if answer.finding.score is not None
                else "no score"
                for answer in row
            ),
        )
        for row in answers(report)
    )
    files = [
        (one.model.name, one.model_sha256 or "not loaded from a file")
        for one in report.second_opinions
    ]
    return (
        Paragraph(overview(report) or "No model has a score for anyone."),
        Table("Answers of the models", ("Person", *labels), rows, (1, *(3 for _ in labels))),
        Fields(tuple(zip(labels, rates, strict=True))),
        Fields(tuple((f"SHA-256, {name}", sha256) for name, sha256 in files)),
        Paragraph(NOT_INDEPENDENT, "note"),
    )


def validation(report: Report) -> tuple[Block, ...]:
    """Return how often the model was wrong, and the range of conditions this was measured for."""
    blocks: list[Block] = [Paragraph(error_rate_sentence(report.model, report.thresholds))]
    for number, record in enumerate(report.model.error_records):
        blocks += _record(record, whole=number == 0)
    blocks.append(Paragraph(_domain(report)))
    return tuple(blocks)


def other_causes(examination: Examination) -> tuple[Block, ...]:
    """Return what besides a manipulation could explain a score, or the lack of one."""
    considered = causes.consider(examination.report, examination.detailed, examination.case.causes)
    return (
        Paragraph(
            "What besides a manipulation could explain a score, and what the data of this item "
            "say. "
            "Where a change is said to speak for or against a cause, this refers to the software's "
            "score, not to the propositions." + _only_detailed(examination)
        ),
        Table(
            "Other causes considered",
            ("Cause", "Data of this item (software)", "Remark (examiner)"),
            tuple((one.name, one.data, one.remark or "not stated") for one in considered),
            (2.2, 5, 2.6),
        ),
    )


def _only_detailed(examination: Examination) -> str:
    if not examination.others:
        return ""
    people = [str(examination.report.tracks[n].person) for n in examination.detailed]
    return f" The data are those of the people with a part of their own: {_people(people)}."


def repetition(examination: Examination) -> tuple[Block, ...]:
    """Return the command that repeats the analysis, and what must be the same."""
    report = examination.report
    made = report.provenance
    return (
        Command(repeat_command(report)),
        Bullets(
            (
                f"Input: SHA-256 {made.input_sha256}.",
                f"Model file: SHA-256 {made.model_sha256 or 'none'}. For a model that is not one "
                "of the software's own, give its file instead of its name.",
                f"report.json of this analysis: SHA-256 {examination.report_sha256}.",
                "Versions and machine: as listed under Method. Another machine or version can "
                "change scores in the last digits.",
            )
        ),
    )


def _seconds(found: Coverage) -> tuple[tuple[str, str], ...]:
    if found.step is None:
        return ()
    text = (
        f"about {(found.examined - found.counted) * found.step:.1f} s of "
        f"{found.examined * found.step:.1f} s: no face "
        f"{(found.examined - found.with_face) * found.step:.1f} s, only faces that are not counted "
        f"{(found.with_face - found.counted) * found.step:.1f} s. Each examined frame stands for "
        f"{found.step:.3g} s"
    )
    return (("Seconds not analysed", text),)


def _frames(number: int, step: float | None) -> str:
    if step is None:
        return f"{number:,}"
    return f"{number:,} (about {number * step:.1f} s)"


def _listed(title: str, items: list[str]) -> tuple[Block, ...]:
    if not items:
        return ()
    more = len(items) - _MAX_ITEMS
    rest = (f"{more} more, see report.json",) if more > 0 else ()
    return (Paragraph(title), Bullets((*items[:_MAX_ITEMS], *rest)))


def _record(record: ErrorRecord, *, whole: bool) -> list[Block]:
    rows = error_rows(record)
    if not whole:
        totals = [row for row in rows if row.counts.dataset == "all datasets"]
        labels = {row.counts.label for row in totals}
        rows = [row for row in rows if row in totals or row.counts.label not in labels]
    origin = (
        "These clips were not used to train or choose the model."
        if record.independent
        else "The thresholds were chosen with these clips, so on other clips the model may be "
        "wrong more often."
    )
    cost = (
        f" Cost of the likelihood ratios on these clips (Cllr): {record.cllr:.2f}; 0 for perfect "
        "ratios, 1 for no information."
        if record.cllr is not None
        else ""
    )
    return [
        Table(
            f"Verdicts on {record.name}: {record.data.rstrip('.')}",
            (
                *("Dataset", "Clips are", "Clips", "Likely fake", "Likely real"),
                *("Inconclusive", "Not judged", "Wrong (95 % interval)"),
            ),
            tuple(map(_row, rows)),
            (2.7, 1, 0.8, 1, 1, 1.5, 1.1, 2.9),
        ),
        Paragraph(f"{origin}{cost}", "note"),
    ]


def _row(row: ErrorRow) -> tuple[str, ...]:
    counts = row.counts
    low, high = (f"{100 * bound:.0f}" for bound in row.interval)
    wrong = (
        "none judged"
        if row.share is None
        else f"{row.wrong} of {row.judged}: {100 * row.share:.0f}\u00a0% ({low} to {high}\u00a0%)"
    )
    numbers = (counts.clips, counts.fake, counts.real, counts.inconclusive, counts.not_judged)
    return (counts.dataset, counts.label, *map(str, numbers), wrong)


def _domain(report: Report) -> str:
    domain = report.model.domain
    if domain is None:
        return (
            "The model card does not describe the conditions of the validation data, so it is not "
            "known whether this item lies inside them."
        )
    checked = [finding for finding in report.findings if finding.domain is not None]
    text = f"Validated conditions: those of {domain.persons:,} {domain.data.rstrip('.')}."
    if not checked:
        return f"{text} Whether this item lies inside them was not checked."
    outside = [str(one.person) for one in checked if one.domain and not one.domain.inside]
    text += (
        f" {len(checked) - len(outside)} of {len(checked)} people checked in this item lie inside "
        f"them; {len(report.findings) - len(checked)} were not checked."
    )
    if not outside:
        return text
    return f"{text} The error rates above do not apply to those outside: {_people(outside)}."


def _people(numbers: Sequence[str]) -> str:
    shown = ", ".join(numbers[:_MAX_ITEMS])
    more = len(numbers) - _MAX_ITEMS
    return f"person {shown}" + (f" and {more} more" if more > 0 else "")
