"""Face samples: few, spread over a person's time, with the pixels that the model examined."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakelens.faces.crops import crop_area, extract_crop
from fakelens.faces.sampler import MAX_SAMPLES, FaceSampler, take_sample
from fakelens.records.faces import Box, CropGeometry, Face
from support.builders import CARD

LANDMARKS = np.array([(30, 40), (50, 40), (40, 50), (32, 62), (48, 62)], np.float32)


def noise(height: int = 120, width: int = 160) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def card(reference="box", scale=1.2, size=64):
    names = CARD.__dataclass_fields__
    own = {"crop": CropGeometry(reference, scale), "input_size": size}
    return type(CARD)(**({name: getattr(CARD, name) for name in names} | own))


@given(
    x=st.floats(-40, 140),
    y=st.floats(-30, 110),
    side=st.floats(8, 55),
    reference=st.sampled_from(["box", "dlib"]),
)
def test_a_crop_of_a_sample_equals_the_crop_of_the_frame(
    x: float, y: float, side: float, reference: str
) -> None:
    image, model = noise(), card(reference)
    landmarks = LANDMARKS if reference == "dlib" else None
    face = Face(Box(x, y, x + side, y + 0.9 * side), landmarks, 1.0)
    wanted = extract_crop(image, crop_area(face, model.crop), model.input_size)
    np.testing.assert_array_equal(take_sample(image, face, model).crop(model), wanted)


def test_the_sample_of_a_huge_face_is_shrunk_and_shows_the_same() -> None:
    rows, columns = np.indices((1500, 1800))
    image = np.stack([rows / 8, columns / 10, (rows + columns) / 20], axis=-1).astype(np.uint8)
    face = Face(Box(400, 300, 1200, 1100), 10 * LANDMARKS, 1.0)
    sample = take_sample(image, face, card())
    assert max(sample.image.shape[:2]) <= 1.6 * 64 + 1
    whole = extract_crop(image, crop_area(face, card().crop), 64)
    difference = np.abs(sample.crop(card()).astype(int) - whole)
    assert difference.max() <= 3


def keep(times: np.ndarray, usable: bool = True) -> list[float]:
    """Return the numbers of the frames that are kept: each frame has the grey of its number."""
    sampler = FaceSampler(CARD)
    for number, time in enumerate(times):
        image = np.full((60, 60, 3), number % 251, np.uint8)
        sampler.add(1, float(time), image, Face(Box(20, 20, 40, 40), None, 1.0), usable=usable)
    ((person, samples),) = sampler.pop_all()
    assert person == 1
    return [float(sample.image[0, 0, 0]) for sample in samples]


@pytest.mark.parametrize("seconds", [0, 0.5, 3, 9, 50, 249])
def test_few_samples_are_kept_and_spread_over_the_whole_time(seconds: int) -> None:
    # One frame per second, except for short times.
    times = np.arange(seconds + 1) if seconds > 1 else np.array([0.0, seconds])
    kept = keep(times)
    assert 1 <= len(kept) <= MAX_SAMPLES
    assert kept[0] == 0
    if seconds >= 9:
        assert len(kept) >= MAX_SAMPLES // 2
        gaps = np.diff([*kept, seconds])
        assert gaps[:-1].min() == gaps[:-1].max()
        assert gaps[-1] <= 2 * gaps[0]


def test_unusable_faces_are_not_kept() -> None:
    assert keep(np.arange(10), usable=False) == []


def test_persons_who_have_left_are_returned_once_and_removed() -> None:
    sampler, image = FaceSampler(CARD), noise()
    face = Face(Box(20, 20, 60, 60), None, 1.0)
    for time in range(4):
        sampler.add(1, time, image, face, usable=True)
        sampler.add(2, time / 10, image, face, usable=True)
    assert sampler.pop_gone(2.2) == []
    ((person, samples),) = sampler.pop_gone(3)
    assert (person, len(samples)) == (2, 1)
    assert sampler.pop_gone(4) == []
    assert [person for person, _ in sampler.pop_all()] == [1]
    assert sampler.pop_all() == []
