"""Collects the information needed to repeat an analysis."""

import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from fakelens.media.source_file import file_sha256
from fakelens.records.faces import FaceDetector
from fakelens.records.models import HasDevice, Model
from fakelens.records.report import Provenance

_PACKAGES = ("fakelens", "numpy", "onnxruntime", "opencv-python-headless", "av", "lapx")


def collect_provenance(path: Path, model: Model, detector: FaceDetector) -> Provenance:
    """Collect the provenance of an analysis that ends now."""
    return Provenance(
        input_name=_printable(path.name),
        input_sha256=file_sha256(path),
        input_bytes=path.stat().st_size,
        model_sha256=model.sha256,
        detector=detector.name,
        versions={name: metadata.version(name) for name in _PACKAGES},
        platform=f"{platform.platform()}, Python {platform.python_version()}",
        device=model.device if isinstance(model, HasDevice) else "",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _printable(name: str) -> str:
    """Return the name as valid Unicode; file names may contain any bytes."""
    return name.encode("utf-8", "backslashreplace").decode()
