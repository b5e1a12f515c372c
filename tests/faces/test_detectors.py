import sys
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from skimage import data

import fakelens
from fakelens.errors import MissingExtraError, ModelError, UsageError
from fakelens.faces.detectors import DETECTORS, load_detector
from fakelens.faces.dlib_hog import DlibHog
from fakelens.faces.haar import Haar
from fakelens.faces.yunet import YuNet
from fakelens.records.arrays import RGBImage
from fakelens.records.faces import Box, Face, FaceDetector

YUNET_FILE = "face_detection_yunet_2023mar.onnx"


@pytest.fixture(scope="module")
def astronaut() -> RGBImage:
    """A picture of 512 x 512 with one smiling face of about 100 pixels above the centre."""
    return data.astronaut()


@pytest.fixture(scope="module")
def yunet() -> YuNet:
    return YuNet()


def yunet_path() -> Path:
    return Path(fakelens.__file__).parent / "faces" / "weights" / YUNET_FILE


def opencv_yunet(image: RGBImage) -> list[tuple[Box, np.ndarray, float]]:
    """Detect with OpenCV's implementation of the same detector, at the same threshold."""
    height, width = image.shape[:2]
    detector = cv2.FaceDetectorYN.create(str(yunet_path()), "", (width, height), 0.6, 0.3)
    _, rows = detector.detect(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    return [
        (Box(x, y, x + w, y + h), np.reshape(points, (5, 2)), score)
        for x, y, w, h, *points, score in (() if rows is None else rows.tolist())
    ]


def assert_agrees_with_opencv(image: RGBImage, detector: YuNet) -> int:
    expected = opencv_yunet(image)
    found = detector.detect([image])[0]
    assert len(found) == len(expected)
    for face, (box, points, score) in zip(found, expected, strict=True):
        assert face.box.iou(box) > 0.999
        assert np.abs(face.landmarks - points).max() < 0.01
        assert face.confidence == pytest.approx(score, abs=1e-4)
    return len(found)


@pytest.mark.parametrize(
    "window",
    [np.s_[:, :], np.s_[:301, 60:397], np.s_[17:290, 100:], np.s_[60:160, 170:275]],
    ids=["whole", "odd size", "moved", "tight"],
)
def test_yunet_agrees_with_opencv(astronaut: RGBImage, yunet: YuNet, window: tuple) -> None:
    assert assert_agrees_with_opencv(astronaut[window], yunet) == 1


@pytest.mark.shared
def test_yunet_agrees_with_opencv_on_photographs(shared_data: Path) -> None:
    detector = YuNet(longest_side=2000)
    faces = 0
    for file in sorted((shared_data / "images").glob("*.jpg")):
        image = cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB)
        if max(image.shape) <= 1400:
            faces += assert_agrees_with_opencv(image, detector)
    assert faces >= 10


@pytest.mark.parametrize("factor", [2, 4])
def test_yunet_reports_coordinates_of_the_full_picture(
    astronaut: RGBImage, yunet: YuNet, factor: int
) -> None:
    (face,) = yunet.detect([astronaut])[0]
    large = cv2.resize(astronaut, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    (found,) = yunet.detect([large])[0]
    corners = [factor * v for v in (face.box.x1, face.box.y1, face.box.x2, face.box.y2)]
    assert found.box.iou(Box(*corners)) > 0.9
    assert np.abs(found.landmarks - factor * face.landmarks).max() < 0.05 * factor * face.box.height


def test_landmarks_are_in_the_documented_order(astronaut: RGBImage, yunet: YuNet) -> None:
    for image in (astronaut, np.ascontiguousarray(astronaut[:, ::-1])):
        left_eye, right_eye, nose, left_mouth, right_mouth = yunet.detect([image])[0][0].landmarks
        assert left_eye[0] < nose[0] < right_eye[0]
        assert left_mouth[0] < right_mouth[0]
        assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])


def test_each_picture_of_a_batch_gets_its_own_faces(astronaut: RGBImage, yunet: YuNet) -> None:
    empty = np.full_like(astronaut, 90)
    twins = np.hstack([astronaut[:, 100:356], astronaut[:, 100:356]])
    counts = [len(faces) for faces in yunet.detect([empty, astronaut, twins])]
    assert counts == [0, 1, 2]
    assert yunet.detect([]) == []


def test_yunet_drops_detections_below_its_threshold(astronaut: RGBImage) -> None:
    def faces(threshold: float) -> list[float]:
        strip = np.hstack([astronaut[:300, 100:356], astronaut[:300, 100:356]])
        strip[:, 256:] = cv2.GaussianBlur(strip[:, 256:], (0, 0), 12)
        found = YuNet(min_confidence=threshold).detect([strip])[0]
        return [face.confidence for face in found]

    confidences = faces(0.05)
    assert confidences == sorted(confidences, reverse=True)
    assert len(confidences) >= 2
    middle = (confidences[0] + confidences[1]) / 2
    assert faces(middle) == pytest.approx(confidences[:1])


@pytest.mark.parametrize("size", [(1, 1), (7, 2000), (2000, 7), (33, 31)])
def test_pictures_of_any_size_are_searched(yunet: YuNet, size: tuple[int, int]) -> None:
    assert yunet.detect([np.zeros((*size, 3), np.uint8)]) == [[]]


@pytest.mark.parametrize("name", DETECTORS)
def test_every_detector_finds_the_face(name: str, astronaut: RGBImage, yunet: YuNet) -> None:
    detector: FaceDetector = load_detector(name)
    (reference,) = yunet.detect([astronaut])[0]
    view = np.hstack([astronaut, astronaut])[:, 512:]  # not contiguous in memory
    faces, none = detector.detect([view, np.full_like(astronaut, 90)])
    assert none == []
    assert faces[0].box.iou(reference.box) > 0.5
    assert faces[0].confidence == max(face.confidence for face in faces)
    assert detector.name  # the report tells it


def test_dlib_boxes_equal_dlib_s_own(astronaut: RGBImage) -> None:
    dlib = pytest.importorskip("dlib")
    (rectangle,) = dlib.get_frontal_face_detector()(astronaut)
    (face,) = DlibHog().detect([astronaut])[0]
    assert face.landmarks is None
    assert face.box.width * face.box.height == rectangle.area()
    assert (face.box.x1, face.box.y1) == (rectangle.left(), rectangle.top())


def test_haar_boxes_equal_opencv_s_own(astronaut: RGBImage) -> None:
    file = f"{cv2.data.haarcascades}haarcascade_frontalface_default.xml"
    luma = cv2.cvtColor(astronaut, cv2.COLOR_RGB2GRAY)
    expected = cv2.CascadeClassifier(file).detectMultiScale(luma, 1.1, 5).tolist()
    faces = Haar().detect([astronaut])[0]
    found = [[f.box.x1, f.box.y1, f.box.width, f.box.height] for f in faces]
    assert sorted(found) == sorted(expected)
    assert {face.landmarks is None for face in faces} == {True}


def test_a_missing_dlib_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(MissingExtraError, match=r"\.\[dlib\]"):
        load_detector("dlib")


def test_an_unknown_name_lists_the_known_names() -> None:
    with pytest.raises(UsageError, match=r"'mtcnn'.*yunet, dlib, haar"):
        load_detector("mtcnn")


@pytest.mark.parametrize("arguments", [{"longest_side": 31}, {"min_confidence": 1.0}])
def test_settings_out_of_range_are_refused(arguments: dict) -> None:
    with pytest.raises(UsageError):
        YuNet(**arguments)


def test_a_changed_or_missing_yunet_file_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    content = bytearray(yunet_path().read_bytes())
    monkeypatch.setattr("fakelens.faces.yunet.resources.files", lambda _package: tmp_path)
    with pytest.raises(ModelError, match="missing"):
        YuNet()
    content[-1] ^= 1
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / YUNET_FILE).write_bytes(content)
    with pytest.raises(ModelError, match="damaged"):
        YuNet()


@pytest.mark.shared
@pytest.mark.parametrize(
    "clip",
    [
        "celebdf_id51_0002_real_0007",
        "dfdctest_5_real_0028",  # dark
        "dfdctest_24_fake_0033",  # blurred, small
        "ffpp_519_real_0019",
        "lp_d20_real_0051",
        "lp_s13_real_0055",  # portrait orientation, fast head movements
    ],
)
def test_only_the_speaker_is_detected(clip: str, shared_data: Path, yunet: YuNet) -> None:
    with av.open(shared_data / "videos" / f"{clip}.mp4") as container:
        sampled = islice(container.decode(video=0), 2, 150, 12)
        images = [frame.to_ndarray(format="rgb24") for frame in sampled]
    counts = [sum(face.confidence >= 0.8 for face in faces) for faces in yunet.detect(images)]
    assert counts == [1] * len(images)


@pytest.mark.parametrize("landmark", [np.nan, np.inf, 1.0])
def test_a_face_with_values_that_are_not_finite_is_refused(landmark: float) -> None:
    landmarks = np.full((5, 2), landmark, np.float32)
    confidence = np.nan if landmark == 1 else 0.9
    with pytest.raises(ValueError, match="finite"):
        Face(Box(0, 0, 1, 1), landmarks, confidence)
