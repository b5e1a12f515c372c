"""Collects the information needed to repeat an analysis."""

import platform
import sys
from datetime import UTC, datetime
from importlib import metadata
from types import ModuleType

from fakelens.media.source_file import SourceFile
from fakelens.records.faces import FaceDetector
from fakelens.records.models import HasDevice, Model
from fakelens.records.report import Provenance

# Modules whose versions can change a result. A module can come from packages of several names, such
# as onnxruntime-gpu, so the modules are asked and not the packages.
_MODULES = {
    "numpy": "numpy",
    "onnxruntime": "onnxruntime",
    "opencv": "cv2",
    "av": "av",
    "pillow": "PIL",
    "lapx": "lap",
}


def collect_provenance(source: SourceFile, model: Model, detector: FaceDetector) -> Provenance:
    """Collect the provenance of an analysis that ends now."""
    return Provenance(
        input_name=_printable(source.path.name),
        input_sha256=source.sha256,
        input_bytes=source.size,
        model_sha256=model.sha256,
        detector=detector.name,
        versions={
            "fakelens": _own_version(),
            **{name: _version(sys.modules[m]) for name, m in _MODULES.items() if m in sys.modules},
        },
        platform=f"{platform.platform()}, Python {platform.python_version()}",
        device=model.device if isinstance(model, HasDevice) else "",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _own_version() -> str:
    try:
        return metadata.version("fakelens")
    except metadata.PackageNotFoundError:  # run from its source, not installed
        return "unknown"


def _version(module: ModuleType) -> str:
    return str(getattr(module, "__version__", "unknown"))  # a library need not tell it


def _printable(name: str) -> str:
    """Return the name as valid Unicode; file names may contain any bytes."""
    return name.encode("utf-8", "backslashreplace").decode()
