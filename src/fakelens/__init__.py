"""fakelens finds every face in a video, asks whether it is a deepfake, and shows why.

>>> import fakelens
>>> report = fakelens.analyze("interview.mp4")  # doctest: +SKIP
>>> fakelens.save_report(report, "interview_analyzed")  # doctest: +SKIP
"""

import contextlib
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any


def _switch_telemetry_off() -> None:
    """Switch off the telemetry of the libraries that fakelens or a user's model loads.

    onnxruntime writes a device id into the user's cache and contacts its maker's host unless its
    variable is set before it is imported. Processes started from here inherit the variables.
    """
    for variable in ("ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
        os.environ[variable] = "1"
    # A program may have imported onnxruntime first. This only reduces what it records.
    with contextlib.suppress(KeyError, AttributeError):
        sys.modules["onnxruntime"].disable_telemetry_events()


# Here, because this module runs before every other one of the package.
_switch_telemetry_off()

if TYPE_CHECKING:
    __version__: str
    from fakelens.analysis.pipeline import analyze, analyze_models
    from fakelens.errors import FakelensError
    from fakelens.faces.detectors import load_detector
    from fakelens.models.loading import load_model
    from fakelens.records.faces import Box, CropGeometry, Face, FaceDetector
    from fakelens.records.findings import Finding, Span, Verdict
    from fakelens.records.media import Frame
    from fakelens.records.models import Evidence, Model, ModelCard, Thresholds
    from fakelens.records.report import Report, SecondOpinion
    from fakelens.records.settings import Settings
    from fakelens.records.tracks import Observation, Track
    from fakelens.render.style import Style
    from fakelens.report.document import read_report
    from fakelens.report.save import save_drawings, save_report

# Where each public name lives; nothing is imported before it is asked for, so that
# ``import fakelens`` does not load codecs and runtimes.
_HOMES = {
    "Box": "records.faces",
    "CropGeometry": "records.faces",
    "Evidence": "records.models",
    "Face": "records.faces",
    "FaceDetector": "records.faces",
    "FakelensError": "errors",
    "Finding": "records.findings",
    "Frame": "records.media",
    "Model": "records.models",
    "ModelCard": "records.models",
    "Report": "records.report",
    "SecondOpinion": "records.report",
    "Settings": "records.settings",
    "Observation": "records.tracks",
    "Span": "records.findings",
    "Style": "render.style",
    "Thresholds": "records.models",
    "Track": "records.tracks",
    "Verdict": "records.findings",
    "analyze": "analysis.pipeline",
    "analyze_models": "analysis.pipeline",
    "load_detector": "faces.detectors",
    "load_model": "models.loading",
    "read_report": "report.document",
    "save_drawings": "report.save",
    "save_report": "report.save",
}

__all__ = [
    "Box",
    "CropGeometry",
    "Evidence",
    "Face",
    "FaceDetector",
    "FakelensError",
    "Finding",
    "Frame",
    "Model",
    "ModelCard",
    "Observation",
    "Report",
    "SecondOpinion",
    "Settings",
    "Span",
    "Style",
    "Thresholds",
    "Track",
    "Verdict",
    "analyze",
    "analyze_models",
    "load_detector",
    "load_model",
    "read_report",
    "save_drawings",
    "save_report",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - slow to load

        return version("fakelens")
    if name not in _HOMES:
        raise AttributeError(f"module 'fakelens' has no attribute {name!r}")
    return getattr(import_module(f"fakelens.{_HOMES[name]}"), name)
