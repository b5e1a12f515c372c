"""The DFDC face crops: one real crop and one of its own fakes per group, with YuNet's face box.

The crops stay JPEG bytes in memory (about 95 MB) and are decoded when needed; where the face
lies in each of them is found once and kept in a small file.
"""

import csv
import tarfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from tqdm import tqdm

from fakelens.data import FaceDetector, FloatArray, RGBImage
from fakelens.faces import YuNet

Split = Literal["train", "val"]

# Native widths that differ by less are of one scale.
_ONE_SCALE = 1.03

# The face fills the crop; YuNet wants to see some room around it.
_BORDER = 48
_TYPICAL_LANDMARKS = np.array(
    [(0.31, 0.37), (0.69, 0.37), (0.5, 0.58), (0.35, 0.77), (0.65, 0.77)], np.float32
)


@dataclass(frozen=True, slots=True)
class Crop:
    """One face crop.

    Attributes:
        jpeg: the compressed picture.
        center: (2,) float32 x, y of the face box's middle, pixels.
        side: the face box's longer side, pixels.
        landmarks: (5, 2) float32 eyes, nose tip, mouth corners, pixels.
    """

    jpeg: bytes
    center: FloatArray
    side: float
    landmarks: FloatArray

    def decode(self) -> RGBImage:
        """The picture, (H, W, 3) uint8 RGB."""
        return decode(self.jpeg)


@dataclass(frozen=True, slots=True)
class Pair:
    """A real crop and a fake made from the same clip.

    Attributes:
        group: name.
        real: the original.
        fake: forged.
        aligned: the two were cut at one scale, so that they show the same place.
    """

    group: str
    real: Crop
    fake: Crop
    aligned: bool = True


def decode(jpeg: bytes) -> RGBImage:
    """Decode JPEG bytes to (H, W, 3) uint8 RGB."""
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError("a crop is not a readable JPEG; the shard may be damaged")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def load_pairs(folder: Path, split: Split, faces_file: Path) -> list[Pair]:
    """Read one split's crops, ordered by group.

    Args:
        folder: holds ``index.csv`` (shard, file, label, group, split and, if crops were brought
            to one size, native_crop_width) and the tar shards.
        split: which part; a group belongs to one only.
        faces_file: where the face boxes of this split are kept; made when missing.
    """
    with (folder / "index.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["split"] == split]
    jpegs = _read_shards(folder, rows)
    faces = _faces(jpegs, faces_file)
    members: defaultdict[str, dict[str, Crop]] = defaultdict(dict)
    widths: defaultdict[str, list[float]] = defaultdict(list)
    for row in rows:
        face = faces[row["file"]]
        widths[row["group"]].append(float(row.get("native_crop_width", 1)))
        members[row["group"]][row["label"]] = Crop(
            jpegs[row["file"]], face[:2], float(face[2]), face[3:].reshape(5, 2)
        )
    return [
        Pair(
            group,
            labels["real"],
            labels["fake"],
            max(widths[group]) < _ONE_SCALE * min(widths[group]),
        )
        for group, labels in sorted(members.items())
    ]


def _read_shards(folder: Path, rows: list[dict[str, str]]) -> dict[str, bytes]:
    wanted: defaultdict[str, list[str]] = defaultdict(list)
    for row in rows:
        wanted[row["shard"]].append(row["file"])
    jpegs = {}
    for shard, files in wanted.items():
        with tarfile.open(folder / shard) as tar:
            for file in files:
                member = tar.extractfile(file)
                if member is None:
                    raise ValueError(f"{file} is not a file in {shard}")
                jpegs[file] = member.read()
    return jpegs


def _faces(jpegs: dict[str, bytes], faces_file: Path) -> dict[str, FloatArray]:
    """For each file 13 numbers: box middle x, y, longer side, five landmarks x, y."""
    if not faces_file.is_file():
        detector = YuNet(min_confidence=0.5)
        found = {
            name: _find_face(decode(jpeg), detector)
            for name, jpeg in tqdm(jpegs.items(), desc="faces")
        }
        faces_file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(faces_file, files=np.array(list(found)), faces=np.stack(list(found.values())))
    with np.load(faces_file) as stored:
        faces = dict(zip(stored["files"].tolist(), stored["faces"], strict=True))
    if missing := jpegs.keys() - faces.keys():
        raise ValueError(f"{faces_file} lacks {len(missing)} crops of the index: delete it")
    return faces


def _find_face(image: RGBImage, detector: FaceDetector) -> FloatArray:
    """Where the face is in a tight crop; a crop without a found face gets the typical place."""
    height, width = image.shape[:2]
    padded = cv2.copyMakeBorder(image, *(_BORDER,) * 4, cv2.BORDER_CONSTANT)
    found = [face for face in detector.detect([padded])[0] if face.landmarks is not None]
    if found:
        face = max(found, key=lambda face: face.box.width * face.box.height)
        center = np.array(face.box.center) - _BORDER
        side = max(face.box.width, face.box.height)
        landmarks = face.landmarks - _BORDER
    else:
        center = np.array([0.5 * width, 0.47 * height])
        side = max(width, height) / 0.9
        landmarks = _TYPICAL_LANDMARKS * (width, height)
    return np.concatenate([center, [side], landmarks.ravel()]).astype(np.float32)
