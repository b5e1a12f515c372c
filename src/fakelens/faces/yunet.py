"""The YuNet face detector, run by onnxruntime."""

import hashlib
from collections.abc import Sequence
from importlib import resources

import cv2
import cv2.data
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from fakelens.errors import ModelError, UsageError
from fakelens.media.pixels import shrink
from fakelens.records.arrays import RGBImage
from fakelens.records.faces import Box, Face

YUNET_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
_YUNET_FILE = "face_detection_yunet_2023mar.onnx"
_YUNET_STRIDES = (8, 16, 32)
_YUNET_OVERLAP = 0.3  # threshold of suppression; the default of OpenCV's FaceDetectorYN


class YuNet:
    """YuNet (Wu et al., Machine Intelligence Research 2023), 2023mar weights, 75,856 parameters.

    Detects faces of about 15 pixels or more in the scaled picture, in any orientation. The file
    comes from the OpenCV model zoo (MIT, see ``weights/LICENSE``); decoding follows OpenCV's
    ``FaceDetectorYN``. Pictures are processed one at a time, since batches are slower on a CPU.

    Args:
        longest_side: larger pictures are shrunk to this longest side, in pixels.
        min_confidence: detections of a lower confidence are dropped, 0..1.

    Raises:
        ModelError: the weights file is missing or is not the published file.
        UsageError: an argument is out of range.
    """

    name = "yunet-2023mar"
    grid = _YUNET_STRIDES[-1]
    # In 826 frames of 48 clips of one speaker, every speaker was above it (at least 0.85), and so
    # was one further detection.
    sure_confidence = 0.8

    def __init__(self, longest_side: int = 640, min_confidence: float = 0.6) -> None:
        if longest_side < 32:
            raise UsageError(f"the longest side must be 32 pixels or more, not {longest_side}")
        if not 0 < min_confidence < 1:
            raise UsageError(
                f"the minimum confidence must lie between 0 and 1, not {min_confidence}"
            )
        self.longest_side = longest_side
        self._min_confidence = min_confidence
        options = onnxruntime.SessionOptions()
        # Spinning threads double the time if decoding or a model runs in parallel, and save a
        # fifth of the time otherwise.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            _any_size(_yunet_file()), options, providers=["CPUExecutionProvider"]
        )

    def detect(self, images: Sequence[RGBImage]) -> list[list[Face]]:
        """Detect the faces in each picture, the most confident first."""
        return [self._detect(image) for image in images]

    def _detect(self, image: RGBImage) -> list[Face]:
        small = np.asarray(shrink(image, self.longest_side))
        boxes, points, confidence = self._candidates(small)
        kept = cv2.dnn.NMSBoxes(
            np.column_stack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]]).tolist(),
            confidence.tolist(),
            self._min_confidence,
            _YUNET_OVERLAP,
        )
        down, across = image.shape[0] / small.shape[0], image.shape[1] / small.shape[1]
        return [
            Face(Box(*boxes[i].tolist()), points[i], float(confidence[i])).scaled(across, down)
            for i in kept
        ]

    def _candidates(
        self, image: RGBImage
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Return corners (K, 4), landmarks (K, 5, 2) and confidences (K,) before suppression."""
        height, width = (
            -(-side // _YUNET_STRIDES[-1]) * _YUNET_STRIDES[-1] for side in image.shape[:2]
        )
        blob = np.zeros((1, 3, height, width), np.float32)
        # The model expects BGR with values 0..255.
        for plane, channel in zip(cv2.split(image), (2, 1, 0), strict=True):
            blob[0, channel, : image.shape[0], : image.shape[1]] = plane
        names = [f"{kind}_{s}" for s in _YUNET_STRIDES for kind in ("cls", "obj", "bbox", "kps")]
        outputs = [out[0] for out in self._session.run(names, {"input": blob})]
        found = []
        for level, stride in enumerate(_YUNET_STRIDES):
            classes, objectness, offsets, points = outputs[4 * level : 4 * level + 4]
            confidence = np.sqrt(np.clip(classes, 0, 1) * np.clip(objectness, 0, 1))[:, 0]
            kept = np.flatnonzero(confidence >= self._min_confidence)
            row, column = np.divmod(kept, width // stride)
            anchor = np.stack([column, row], axis=1).astype(np.float32)
            center = (anchor + offsets[kept, :2]) * stride
            half = np.exp(offsets[kept, 2:]) * stride / 2
            landmarks = (anchor[:, None] + points[kept].reshape(-1, 5, 2)) * stride
            found.append((np.hstack([center - half, center + half]), landmarks, confidence[kept]))
        boxes, landmarks, confidences = zip(*found, strict=True)
        return np.concatenate(boxes), np.concatenate(landmarks), np.concatenate(confidences)


def _yunet_file() -> bytes:
    """Read the bundled YuNet file and verify it."""
    path = resources.files("fakelens.faces") / "weights" / _YUNET_FILE
    if not path.is_file():
        raise ModelError(f"{path}: the file of the face detector is missing: reinstall fakelens")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != YUNET_SHA256:
        raise ModelError(f"{path}: the file of the face detector is damaged: reinstall fakelens")
    return content


def _any_size(content: bytes) -> bytes:
    """Return the model with an input of any size instead of 640 x 640.

    All layers are convolutional and the reshapes infer their length, so only the declared sizes
    need to change.
    """
    model = onnx.load_from_string(content)
    height, width = model.graph.input[0].type.tensor_type.shape.dim[2:]
    height.dim_param, width.dim_param = "height", "width"
    for output in model.graph.output:
        output.type.tensor_type.shape.dim[1].dim_param = f"anchors_{output.name}"
    del model.graph.value_info[:]
    changed: bytes = model.SerializeToString()
    return changed
