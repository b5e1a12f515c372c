"""Sources of the yardstick: genuine faces with their surroundings, and DFDC's fakes."""

import csv
import io
import re
import tarfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from fakelens.faces.quality import QualityGates
from fakelens.faces.yunet import YuNet
from fakelens.media.images import decode_image
from fakelens.media.reader import open_video
from fakelens.records.arrays import RGBImage
from fakelens.records.faces import Face, FaceDetector
from training.yardstick.items import Item, View, crop_surroundings, longer_side

_FRAMES = 8
# DFDC's crops end at the face, and YuNet needs a border around it, pixels.
_BORDER = 48


def genuine_tracks(data: Path, detector: FaceDetector) -> Iterator[Item]:
    """Yield the largest face in some frames of each genuine ``choose`` clip of ``manifest.csv``."""
    with (data / "manifest.csv").open(newline="") as stream:
        rows = [
            row
            for row in csv.DictReader(stream)
            if row["use"] == "choose" and row["label"] == "real"
        ]
    for row in tqdm(rows, desc="tracks", disable=None):
        views = _sample_track(data / row["path"], detector)
        if views:
            # Copies by the uploader were compressed differently, so they are another origin.
            origin = re.sub(r" \((?!recomp).*\)| by uploader", "", row["dataset"])
            yield Item("tracks", False, origin, "genuine", row["group"], tuple(views))


def _sample_track(path: Path, detector: FaceDetector) -> list[View]:
    with open_video(path) as reader:
        # Twice as many frames: some may show no face, and the header may be wrong.
        every = max(1, (reader.info.frame_estimate or 2 * _FRAMES) // (2 * _FRAMES))
        views = []
        for frame in reader.frames(every=every):
            face = _largest(detector.detect([frame.image])[0])
            if face is not None:
                views.append(crop_surroundings(frame.image, face))
    chosen = np.linspace(0, len(views) - 1, min(_FRAMES, len(views))).round().astype(int)
    return [views[index] for index in chosen]


def photographs(data: Path, detector: FaceDetector) -> Iterator[Item]:
    """Yield every face of sufficient quality in the genuine pictures of the folder ``images``."""
    gates = QualityGates(YuNet.sure_confidence)
    for path in sorted((data / "images").iterdir()):
        with open_video(path) as reader:
            image = next(reader.frames()).image
        # The folder holds the same photograph in several sizes.
        group = re.sub(r"-\d+p|\.jpg_real_\d+|\.jpg", "", path.name)
        for face in detector.detect([image])[0]:
            size = min(face.box.width, face.box.height)
            if size >= gates.min_size and face.confidence >= gates.min_confidence:
                view = crop_surroundings(image, face)
                yield Item("stills", False, "photographs", "genuine", group, (view,))


def validation_faces(data: Path, detector: FaceDetector) -> Iterator[Item]:
    """Yield the genuine faces of the split val of ``real_faces``."""
    for row, image in _read_validation_rows(data / "real_faces"):
        face = _largest(detector.detect([image])[0])
        if face is not None:
            view = View(image, face, longer_side(face))
            origin = row["source"].replace(",", " ").split()[0]
            yield Item("stills", False, origin, "genuine", row["group"], (view,))


def dfdc_crops(data: Path, detector: FaceDetector, groups: int) -> Iterator[Item]:
    """Yield real crops and fakes of the split val of ``dfdc_crops``.

    The crops end at the face. At margins above 0.9, their edge pixels are repeated, as
    ``fakelens analyze`` does at the edge of a picture.

    Args:
        data: folder of ``dfdc_crops``.
        detector: face detector; crops are given a black border first.
        groups: number of groups of clips to use, evenly spread over the index.
    """
    rows = list(_read_validation_rows(data / "dfdc_crops"))
    names = sorted({row["group"] for row, _ in rows})
    chosen = {names[index] for index in np.linspace(0, len(names) - 1, groups).astype(int)}
    for row, image in rows:
        if row["group"] not in chosen:
            continue
        padded = cv2.copyMakeBorder(image, *(_BORDER,) * 4, cv2.BORDER_CONSTANT)
        found = _largest(detector.detect([padded.astype(np.uint8, copy=False)])[0])
        if found is not None:
            face, fake = found.moved(-_BORDER, -_BORDER), row["label"] == "fake"
            native = longer_side(face) * float(row["native_crop_width"]) / image.shape[1]
            kind = "DFDC" if fake else "genuine"
            yield Item("DFDC", fake, "DFDC crops", kind, row["group"], (View(image, face, native),))


def _read_validation_rows(folder: Path) -> Iterator[tuple[dict[str, str], RGBImage]]:
    """Yield the rows of the split val of the index, with their pictures."""
    shards: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
    with (folder / "index.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            if row["split"] == "val":
                shards[row["shard"]].append(row)
    for shard, rows in shards.items():
        with tarfile.open(folder / shard) as tar:
            for row in tqdm(rows, desc=f"{folder.name} {shard}", disable=None):
                member = tar.extractfile(row["file"]) or io.BytesIO()
                yield row, decode_image(member.read())


def _largest(faces: list[Face]) -> Face | None:
    return max(
        (face for face in faces if face.landmarks is not None),
        key=lambda face: face.box.width * face.box.height,
        default=None,
    )
