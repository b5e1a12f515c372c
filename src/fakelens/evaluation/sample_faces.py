"""Faces for checks that need no labels: public-domain portraits and synthetic forgeries of them."""

from pathlib import Path

from fakelens.evaluation.forgeries import largest_face
from fakelens.evaluation.labelled_faces import MARGINS, LabelledFace, crop_at
from fakelens.faces.detectors import load_detector
from fakelens.media.reader import open_video
from fakelens.models.checks import varied_crops
from fakelens.records.arrays import RGBImage
from fakelens.records.models import ModelCard
from fakelens.trust.synthetic_forgery import FORGERY_RECIPES, forge

_DRAWN = 14


def sample_faces(card: ModelCard) -> tuple[LabelledFace, ...]:
    """Return two genuine faces, and six forgeries of each that are labelled fake.

    Without the packages that contain the portraits (extra ``demo``), random colours are returned,
    all labelled genuine.
    """
    detector = load_detector("yunet")
    faces = []
    for number, portrait in enumerate(_portraits()):
        face = largest_face(detector.detect([portrait])[0])
        if face is None or face.landmarks is None:
            continue
        forged = [forge(portrait, face.landmarks, recipe)[0] for recipe in FORGERY_RECIPES]
        for image in (portrait, *forged):
            crop, *margins = (crop_at(image, face, card, factor) for factor in (1.0, *MARGINS))
            faces.append(LabelledFace(crop, image is not portrait, str(number), tuple(margins)))
    if faces:
        return tuple(faces)
    return tuple(LabelledFace(crop, False, "") for crop in varied_crops(card.input_size, _DRAWN))


def _portraits() -> list[RGBImage]:
    try:
        from matplotlib.cbook import get_sample_data  # noqa: PLC0415 - optional
        from skimage.data import astronaut  # noqa: PLC0415 - optional
    except ImportError:
        return []
    with open_video(Path(get_sample_data("grace_hopper.jpg", asfileobj=False))) as reader:
        hopper = next(reader.frames()).image
    return [hopper, astronaut()]  # type: ignore[no-untyped-call]  # scikit-image has no types
