"""The table of face detectors."""

from collections.abc import Callable

from fakelens.errors import UsageError
from fakelens.faces.dlib_hog import DlibHog
from fakelens.faces.haar import Haar
from fakelens.faces.yunet import YuNet
from fakelens.records.faces import FaceDetector

DETECTORS: dict[str, Callable[[], FaceDetector]] = {"yunet": YuNet, "dlib": DlibHog, "haar": Haar}


def load_detector(name: str) -> FaceDetector:
    """The detector of a given name, with its default settings.

    Raises:
        UsageError: there is none of that name.
        MissingExtraError: it needs a package that is not installed.
    """
    if name not in DETECTORS:
        raise UsageError(
            f"there is no face detector '{name}': choose one of {', '.join(DETECTORS)}"
        )
    return DETECTORS[name]()
