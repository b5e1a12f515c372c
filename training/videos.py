"""Measure models on labelled videos: one score per video, AUC with a bootstrap interval.

``python -m training.videos`` prints the figures, and writes the verdicts as a record for the model
card. Videos are used to compare recipes and margins, never for training.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from tqdm import tqdm

from fakelens import analyze, load_model
from fakelens.analysis.statistics import trimmed_mean
from fakelens.evaluation.auc import bootstrap
from fakelens.evaluation.error_records import build_record, finding_logits, measure_cllr
from fakelens.faces.crops import crop_area, extract_crop
from fakelens.faces.yunet import YuNet
from fakelens.media.reader import open_video
from fakelens.records.arrays import RGBImage
from fakelens.records.faces import CropGeometry, Face
from fakelens.records.findings import Finding, Verdict
from fakelens.records.models import Model
from fakelens.records.settings import Settings
from training.clips import Clip, read_manifest, read_pictures
from training.error_records import ORIGIN, command_line, write_record

_FRAMES = 15
"""Frames per video used for other margins, evenly spread."""
_NOBODY = "nobody seen well enough"


def decisive_findings(model: Model, clips: Sequence[Clip], *, trust: bool) -> list[Finding | None]:
    """Run ``fakelens.analyze`` and return the decisive finding of each clip.

    This is the finding of the most suspicious person who is seen well enough.

    Args:
        model: model to measure.
        clips: videos or pictures.
        trust: also assess the trustworthiness, which can make a verdict inconclusive.

    Returns:
        One finding per clip; ``None`` if nobody is seen well enough.
    """
    settings = Settings(trust=trust)
    return [
        analyze(clip.path, model=model, settings=settings).decisive
        for clip in tqdm(clips, desc=model.card.name, disable=None)
    ]


def largest_faces(path: Path) -> list[tuple[RGBImage, Face]]:
    """Return the largest face in each of some 15 frames, with its frame.

    Frames without a face are skipped.
    """
    detector = YuNet()
    found = []
    with open_video(path) as reader:
        every = max(1, (reader.info.frame_estimate or _FRAMES) // _FRAMES)
        for frame in reader.frames(every=every):
            faces = detector.detect([frame.image])[0]
            if faces:
                largest = max(faces, key=lambda face: face.box.width * face.box.height)
                found.append((frame.image, largest))
    return found


def margin_logits(
    models: Sequence[Model], scales: Sequence[float], clips: Sequence[Clip]
) -> NDArray[np.float64]:
    """Compute the logit of the largest face at each margin.

    Args:
        models: models to measure.
        scales: margins: side of the crop relative to the longer side of YuNet's box.
        clips: videos.

    Returns:
        (models, scales, clips) logits; NaN for a clip without a face.
    """
    logits = np.full((len(models), len(scales), len(clips)), np.nan)
    for column, clip in enumerate(tqdm(clips, desc="margins", disable=None)):
        faces = largest_faces(clip.path)
        for row, model in enumerate(models):
            for layer, scale in enumerate(scales) if faces else ():
                geometry, size = CropGeometry("box", scale), model.card.input_size
                crops = [
                    extract_crop(image, crop_area(face, geometry), size) for image, face in faces
                ]
                found = model.examine(np.stack(crops)).logit
                logits[row, layer, column] = trimmed_mean(found)
    return logits


def main(
    models: Annotated[list[str], typer.Argument(help="Names or files of models.")],
    data: Annotated[Path, typer.Option(help="Folder of manifest.csv.")],
    use: Annotated[str, typer.Option(help="Clips to use: choose or test.")] = "choose",
    scale: Annotated[
        list[float] | None, typer.Option(help="Additional margin; repeatable.")
    ] = None,
    trust: Annotated[bool, typer.Option(help="Assess trustworthiness for the verdicts.")] = False,
    images: Annotated[bool, typer.Option(help="Also analyze the genuine pictures.")] = False,
    record: Annotated[
        Path | None,
        typer.Option(help="Write the verdicts of one model as JSON for its card; implies --trust."),
    ] = None,
    independent: Annotated[
        bool,
        typer.Option(
            help="Record that neither the model nor its thresholds nor the rules for verdicts "
            "were chosen with these clips."
        ),
    ] = False,
    origin: Annotated[
        str, typer.Option(help="For the record: what the clips are, in words.")
    ] = ORIGIN,
) -> None:
    """Print AUCs of all clips and by data set, verdicts, and the score of each clip.

    Scores and verdicts are those of fakelens analyze. At an additional margin, the score is the
    trimmed mean over the largest face in some 15 frames.
    """
    clips = read_manifest(data, use)
    if record and len(models) != 1:
        raise typer.BadParameter(f"a record is of one model, not of {len(models)}")
    if record and not clips:
        raise typer.BadParameter(f"the manifest has no labelled clip for the use {use!r}")
    # A record counts the verdicts that users get, and trust measures can change a verdict.
    trust = trust or record is not None
    labelled = [clip.labelled for clip in clips]
    loaded = [load_model(name) for name in models]
    names = [Path(name).name for name in models]
    for name, model in zip(names, loaded, strict=True):
        findings = decisive_findings(model, clips, trust=trust)
        logits = finding_logits(findings)
        typer.echo(f"{name}, results of fakelens analyze:")
        _echo_aucs(clips, logits)
        _echo_verdicts(clips, findings)
        if (cost := measure_cllr(labelled, findings, model.card)) is not None:
            typer.echo(f"  likelihood ratios: Cllr {cost:.2f} (0 perfect, 1 no information)")
        for clip, finding in zip(clips, findings, strict=True):
            label = "fake" if clip.fake else "real"
            typer.echo(f"  {label} {_format_finding(finding)} {clip.path.name}")
        if record:
            command = command_line(models[0], use, independent=independent, origin=origin)
            found = build_record(
                labelled,
                findings,
                model.card,
                name=use,
                independent=independent,
                command=command,
                origin=origin,
            )
            write_record(found, record)
        if images:
            _echo_pictures(model, read_pictures(data), trust=trust)
    if scale:
        for name, layers in zip(names, margin_logits(loaded, scale, clips), strict=True):
            for margin, logits in zip(scale, layers, strict=True):
                typer.echo(f"{name}, margin {margin:g}, largest face:")
                _echo_aucs(clips, logits)


def _format_finding(finding: Finding | None) -> str:
    if finding is None or finding.score is None:
        return f"  -  {_NOBODY}"
    return f"{finding.score:.2f} {finding.verdict}"


def _echo_aucs(clips: Sequence[Clip], logits: NDArray[np.float64]) -> None:
    """Print the AUC of all clips, and of each data set with both labels."""
    parts = defaultdict(list, {"all": [*np.flatnonzero(~np.isnan(logits)).tolist()]})
    for row in parts["all"]:
        parts[clips[row].short_dataset].append(row)
    if skipped := len(clips) - len(parts["all"]):
        typer.echo(f"  {skipped} of {len(clips)} clips have no score and are skipped")
    for part, rows in parts.items():
        fake = np.array([clips[row].fake for row in rows], bool)
        if len(set(fake.tolist())) == 2:
            groups = [clips[row].group for row in rows]
            auc = bootstrap(logits[rows], fake, ["all"] * len(rows), groups)
            typer.echo(
                f"  {part:24} AUC {auc.value:.2f} ({auc.low:.2f}-{auc.high:.2f})  "
                f"{(~fake).sum()} real, {fake.sum()} fake"
            )


def _echo_verdicts(clips: Sequence[Clip], findings: Sequence[Finding | None]) -> None:
    for label in (False, True):
        some = [
            finding for clip, finding in zip(clips, findings, strict=True) if clip.fake == label
        ]
        counts = Counter(finding.verdict for finding in some if finding is not None)
        verdicts = ", ".join(f"{verdict} {counts[verdict]}" for verdict in Verdict)
        typer.echo(
            f"  of {len(some)} {'fake' if label else 'real'}: {verdicts}, "
            f"{_NOBODY} {some.count(None)}; score quartiles {_quartiles(some)}"
        )


def _quartiles(findings: Sequence[Finding | None]) -> list[float]:
    scores = [f.score for f in findings if f is not None and f.score is not None]
    quartiles: list[float] = np.percentile(scores, [25, 50, 75]).round(2).tolist() if scores else []
    return quartiles


def _echo_pictures(model: Model, pictures: Sequence[Clip], *, trust: bool) -> None:
    findings = [finding for finding in decisive_findings(model, pictures, trust=trust) if finding]
    called = sum(finding.verdict is Verdict.FAKE for finding in findings)
    above = sum(
        finding.score is not None and finding.score >= model.card.thresholds.fake
        for finding in findings
    )
    typer.echo(
        f"  {len(pictures)} genuine pictures, {len(pictures) - len(findings)} with {_NOBODY}: "
        f"{called / max(1, len(findings)):.0%} called likely fake, "
        f"{above / max(1, len(findings)):.0%} at or above the threshold for fake; "
        f"score quartiles {_quartiles(findings)}"
    )


if __name__ == "__main__":
    typer.run(main)
