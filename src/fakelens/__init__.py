"""fakelens finds every face in a video, asks whether it is a deepfake, and shows why.

>>> import fakelens
>>> report = fakelens.analyze("interview.mp4")  # doctest: +SKIP
>>> fakelens.save_report(report, "interview_analyzed")  # doctest: +SKIP
"""

import os
from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

# onnxruntime writes a device id under the user's cache and contacts its maker's host at every run
# unless this is set before it is imported. No module of this package is imported before this line.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

if TYPE_CHECKING:
    from fakelens.data import (
        Box,
        CropGeometry,
        Evidence,
        Face,
        FaceDetector,
        Frame,
        Network,
        NetworkCard,
        Thresholds,
    )
    from fakelens.draw import Style
    from fakelens.errors import FakelensError
    from fakelens.faces import load_detector
    from fakelens.networks import load_network
    from fakelens.pipeline import analyze
    from fakelens.report.document import read_report
    from fakelens.report.save import save_drawings, save_report
    from fakelens.results import Finding, Report, Settings, Sighting, Span, Track, Verdict

__version__ = metadata.version("fakelens")

# Where each public name lives; nothing is imported before it is asked for, so that
# ``import fakelens`` does not load codecs and runtimes.
_HOMES = {
    "Box": "data",
    "CropGeometry": "data",
    "Evidence": "data",
    "Face": "data",
    "FaceDetector": "data",
    "FakelensError": "errors",
    "Finding": "results",
    "Frame": "data",
    "Network": "data",
    "NetworkCard": "data",
    "Report": "results",
    "Settings": "results",
    "Sighting": "results",
    "Span": "results",
    "Style": "draw",
    "Thresholds": "data",
    "Track": "results",
    "Verdict": "results",
    "analyze": "pipeline",
    "load_detector": "faces",
    "load_network": "networks",
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
    "Network",
    "NetworkCard",
    "Report",
    "Settings",
    "Sighting",
    "Span",
    "Style",
    "Thresholds",
    "Track",
    "Verdict",
    "analyze",
    "load_detector",
    "load_network",
    "read_report",
    "save_drawings",
    "save_report",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'fakelens' has no attribute {name!r}")
    return getattr(import_module(f"fakelens.{_HOMES[name]}"), name)
