"""How an analysis is repeated: the command and what must be the same."""

import shlex

from fakelens.faces.detectors import DETECTORS
from fakelens.records.report import Report
from fakelens.records.settings import AUTO_PER_SECOND, Settings


def repeat_command(report: Report) -> str:
    """Return the command that repeats an analysis, for a POSIX shell.

    A model or detector that is not one of the program's own is given by its name in the report.
    """
    settings, made = report.settings, report.provenance
    models = [report.model.name, *(opinion.model.name for opinion in report.second_opinions)]
    detector = next((name for name in DETECTORS if made.detector.startswith(name)), made.detector)
    words = ["fakelens", "analyze", made.input_name]
    for model in models:
        words += ["--model", model]
    words += ["--detector", detector, "--every", _every(settings)]
    options = {
        "--cam": settings.cam,
        "--threshold": settings.threshold,
        "--stream": settings.stream,
        "--device": made.device if made.device not in ("", "cpu") else None,
        "--ablation": settings.ablation if settings.trust else None,
    }
    for name, value in options.items():
        if value is not None:
            words += [name, f"{value}"]
    if not settings.trust:
        words.append("--no-trust")
    return shlex.join(words)


def settings_sentence(report: Report) -> str:
    """Say which settings an analysis used."""
    settings = report.settings
    if report.video.is_picture:
        sampling = "the picture"
    elif settings.per_second:
        sampling = f"about {settings.per_second:g} frames per second (1 in {settings.every} frames)"
    else:
        sampling = "every frame" if settings.every == 1 else f"1 in {settings.every} frames"
    trust = f"on (ablation: {settings.ablation})" if settings.trust else "off"
    own = " (set by the user)" if settings.threshold is not None else " (the model's own)"
    return (
        f"examined: {sampling}; heatmap method {report.cam}; threshold of likely fake "
        f"{report.thresholds.fake:.2f}{own}; trust measures: {trust}; video stream "
        f"{report.video.stream}; batch of {settings.batch} crops"
    )


def _every(settings: Settings) -> str:
    return "auto" if settings.per_second == AUTO_PER_SECOND else str(settings.every)
