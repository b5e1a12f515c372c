"""Whether the results of an earlier analysis are those that a new one would give."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from fakelens.errors import OutputError
from fakelens.records.faces import FaceDetector
from fakelens.records.models import Model
from fakelens.records.report import SCHEMA_VERSION
from fakelens.records.settings import AUTO_PER_SECOND, Settings
from fakelens.report.annotated_video import FILE_NAME as VIDEO_NAME
from fakelens.report.document import FILE_NAME as DOCUMENT_NAME
from fakelens.report.document import HEATMAPS_NAME
from fakelens.report.identity import Identity
from fakelens.report.page import FILE_NAME as PAGE_NAME
from fakelens.report.portraits import STILL_NAME
from fakelens.report.table import FILE_NAME as TABLE_NAME


def check_same(
    path: Path,
    known: Identity,
    models: Sequence[Model],
    detector: FaceDetector,
    settings: Settings,
) -> None:
    """Check that the results of an input were made with the same models and settings.

    Raises:
        OutputError: they were not; says what differs.
    """
    differing = [
        f"{name}: {_text(before)}, now {_text(now)}"
        for name, before, now in _compared(known, models, detector, settings)
        if before != now
    ]
    if differing:
        raise OutputError(
            f"{path}: already analyzed with other settings ({'; '.join(differing)}); use "
            "--force to replace these results"
        )


def check_complete(path: Path, known: Identity, folder: Path, *, video: bool) -> None:
    """Check that all results of an input are there, with the annotated video if it is wanted.

    Raises:
        OutputError: a file is missing.
    """
    wanted = [PAGE_NAME, TABLE_NAME, HEATMAPS_NAME]
    if has_face(known) and (video or known.video.is_picture):
        wanted.append(STILL_NAME if known.video.is_picture else VIDEO_NAME)
    for opinion in known.second_opinions:
        names = (DOCUMENT_NAME, PAGE_NAME, TABLE_NAME, HEATMAPS_NAME)
        wanted += [f"{opinion.folder}/{name}" for name in names]
    missing = [name for name in wanted if not (folder / name).exists()]
    if missing:
        raise OutputError(
            f"{path}: already analyzed, but {folder} has no {missing[0]}; use --force to "
            "analyze it again"
        )


def has_face(known: Identity) -> bool:
    """Return whether any face was found."""
    return known.heatmaps.rows > 0


def _compared(
    known: Identity, models: Sequence[Model], detector: FaceDetector, settings: Settings
) -> Iterator[tuple[str, object, object]]:
    """Yield what can change a result, as it was and as it is now."""
    before, made = known.settings, known.provenance
    model, *others = models
    yield "version of the report", known.schema_version, SCHEMA_VERSION
    yield "model", known.model.name, model.card.name
    if known.model.name == model.card.name:
        yield "SHA-256 of the model", made.model_sha256[:8], model.sha256[:8]
    yield from _compared_opinions(known, others, settings)
    yield "--detector", made.detector, detector.name
    yield "--cam", known.heatmaps.method, settings.cam or model.card.cam
    if not known.video.is_picture:
        yield "--every", _every(before), _every(settings)
    yield "--threshold", before.threshold, settings.threshold
    yield "--stream", before.stream, settings.stream
    yield "trust measures", before.trust, settings.trust
    if before.trust and settings.trust:
        yield "--ablation", before.ablation, settings.ablation


def _compared_opinions(
    known: Identity, others: Sequence[Model], settings: Settings
) -> Iterator[tuple[str, object, object]]:
    before = [opinion.model.name for opinion in known.second_opinions]
    now = [model.card.name for model in others]
    yield "other models", ", ".join(before) or "none", ", ".join(now) or "none"
    if before != now:
        return
    for opinion, model in zip(known.second_opinions, others, strict=True):
        name = model.card.name
        yield f"SHA-256 of {name}", opinion.model_sha256[:8], model.sha256[:8]
        yield f"--cam of {name}", opinion.cam, settings.cam or model.card.cam


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "default" if value is None else f"{value}"


def _every(settings: Settings) -> str:
    """Return the interval as it was asked for; a report has the resulting one as well."""
    if settings.per_second is None:
        return str(settings.every)
    is_auto = settings.per_second == AUTO_PER_SECOND
    return "auto" if is_auto else f"{settings.per_second:g} per second"
