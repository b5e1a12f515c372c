"""The table of face detectors, and loading by name.

Confidences have different scales and are comparable only within one detector:

======== ======== ========================== ====================================================
name     extra    landmarks                  confidence
======== ======== ========================== ====================================================
yunet    -        yes                        0..1, ``sqrt(class score x objectness)``
dlib     [dlib]   no                         margin of the support vector machine, above 0
haar     -        no                         level weight of the cascade's last stage, unbounded
======== ======== ========================== ====================================================
"""

from importlib import import_module

from fakelens.errors import UsageError
from fakelens.records.faces import FaceDetector

DETECTORS = {
    "yunet": "fakelens.faces.yunet:YuNet",
    "dlib": "fakelens.faces.dlib_hog:DlibHog",
    "haar": "fakelens.faces.haar:Haar",
}
"""From the name on the command line to ``module:class``; imported on first use."""


def load_detector(name: str) -> FaceDetector:
    """Load a face detector by its name in ``DETECTORS``, with default settings.

    Raises:
        UsageError: no such name; the message lists the names.
        MissingExtraError: the detector needs a package that is not installed.
    """
    if name not in DETECTORS:
        raise UsageError(f"no face detector {name!r}: choose one of {', '.join(DETECTORS)}")
    module, _, attribute = DETECTORS[name].partition(":")
    detector: FaceDetector = getattr(import_module(module), attribute)()
    return detector
