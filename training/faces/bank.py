"""Face banks: packed face crops as tensors on the device."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fakelens.records.arrays import FloatArray, RGBImage
from training.faces.index import CropDataError, Split, decode_picture
from training.faces.landmarks import compute_hulls
from training.faces.shards import Shard, read_shard

NEIGHBOURS = 24
"""Number of neighbours stored for each crop."""
# Larger pictures are reduced to this side, pixels, so that a bank fits into device memory.
_MAX_SIDE = 256
# Pictures show surroundings if their side is more than this times the side of the face.
_SURROUNDINGS_RATIO = 1.25
# Rows of the distance matrix that are computed at once.
_DISTANCE_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class FaceBank:
    """Real face crops of one folder and split, and their fakes. All pictures have one size S.

    Coordinates are pixels of the S x S picture; whole numbers are pixel centres.

    Attributes:
        images: (N, 3, S, S) uint8 RGB.
        centers: (N, 2) float32 x, y, centre of the face square.
        sides: (N,) float32 side of the face square.
        landmarks: (N, 68, 2) float32 x, y.
        hulls: (N, 6, 20, 2) float32 x, y, in the order of ``landmarks.HULL_KINDS``.
        neighbours: (N, 24) int64 rows of other groups with the most similar pose, the most
            similar first; repeated where there are fewer than 24.
        has_surroundings: whether the pictures show the surroundings of the faces; otherwise they
            are tight crops.
        fakes: (N, 3, S, S) uint8 RGB, zeros for a crop without a fake; ``None`` if no crop has a
            fake.
        fake_masks: (N, 28, 28) float32 in 0..1, 1 where a fake differs from its real crop.
        visible: (N,) bool, whether the forgery is visible in the fake.
        aligned: (N,) bool, whether the fake is visible and shows the same place as the real crop.
        groups: group of each crop; a group belongs to one split.
        sources: source of each crop; the name of the folder if its index does not say.
    """

    images: Tensor
    centers: Tensor
    sides: Tensor
    landmarks: Tensor
    hulls: Tensor
    neighbours: Tensor
    has_surroundings: bool
    fakes: Tensor | None
    fake_masks: Tensor | None
    visible: Tensor | None
    aligned: Tensor | None
    groups: tuple[str, ...]
    sources: tuple[str, ...]

    def __len__(self) -> int:
        """Number of real crops."""
        return len(self.images)


def load_bank(
    folder: Path, name: str, split: Split, device: torch.device | str, limit: int | None = None
) -> FaceBank:
    """Load the shards that ``training.faces.pack`` made from one folder of crops.

    Args:
        folder: folder of the shards.
        name: name of the packed folder, for example "dfdc_crops".
        split: split to load.
        device: where the tensors live.
        limit: largest number of crops to load, spread evenly over all crops.

    Raises:
        CropDataError: there are no such shards, one is damaged, or fewer than two groups remain.
    """
    paths = sorted(folder.glob(f"{name}-{split}-[0-9][0-9][0-9].npz"))
    if not paths:
        raise CropDataError(
            f"{folder} holds no shards {name}-{split}-*.npz: run python -m training.faces.pack"
        )
    shards = [read_shard(path) for path in paths]
    for path, shard in zip(paths, shards, strict=True):
        if str(shard.arrays.get("split")) != split:
            raise CropDataError(f"{path} does not hold crops of the split {split}")
    arrays = {
        key: np.concatenate([shard.arrays[key] for shard in shards])
        for key, value in shards[0].arrays.items()
        if value.ndim > 0
    }
    total = len(arrays["sides"])
    rows = np.arange(total)
    if limit is not None and limit < total:
        rows = np.linspace(0, total - 1, limit).round().astype(int)
    size = min(int(arrays["shapes"].max(initial=1)), _MAX_SIDE)
    arrays = {key: value[rows] for key, value in arrays.items()}
    groups = tuple(arrays["groups"].tolist())
    if len(set(groups)) < 2:
        raise CropDataError(f"{folder} holds fewer than two groups of {name} {split}")

    scale = size / arrays["shapes"].max(axis=1).astype(np.float32)
    landmarks = _scale_points(arrays["landmarks"], scale[:, None, None])
    sides = (arrays["sides"] * scale).astype(np.float32)

    def to_device(array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(device)

    def images(name: str) -> Tensor:
        return to_device(_decode_all(_select_pictures(shards, name, rows), size))

    has_fakes = bool(arrays["has_fake"].any())
    return FaceBank(
        images=images("real"),
        centers=to_device(_scale_points(arrays["centers"], scale[:, None])),
        sides=to_device(sides),
        landmarks=to_device(landmarks),
        hulls=to_device(np.stack([compute_hulls(points) for points in landmarks])),
        neighbours=find_neighbours(torch.from_numpy(landmarks), groups).to(device),
        has_surroundings=bool(np.median(size / sides) > _SURROUNDINGS_RATIO),
        fakes=images("fake") if has_fakes else None,
        fake_masks=to_device(arrays["masks"].astype(np.float32) / 255) if has_fakes else None,
        visible=to_device(arrays["visible"]) if has_fakes else None,
        aligned=to_device(arrays["aligned"]) if has_fakes else None,
        groups=groups,
        sources=tuple(source or name for source in arrays["sources"].tolist()),
    )


def find_neighbours(landmarks: Tensor, groups: Sequence[str]) -> Tensor:
    """Find the crops of other groups with the most similar pose.

    Landmarks are compared after their position and size are normalised.

    Args:
        landmarks: (N, 68, 2) float32 x, y, pixels.
        groups: N names, at least two of them different.

    Returns:
        (N, 24) int64 rows, the closest first; repeated where there are fewer than 24.
    """
    centred = landmarks - landmarks.mean(dim=1, keepdim=True)
    shape = (centred / centred.square().mean(dim=(1, 2), keepdim=True).sqrt()).flatten(1)
    names = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    numbers = torch.tensor([names[group] for group in groups])
    largest = int(torch.bincount(numbers).max())
    found = []
    for first in range(0, len(shape), _DISTANCE_ROWS):
        part = slice(first, first + _DISTANCE_ROWS)
        distance = torch.cdist(shape[part], shape)
        distance[numbers[part, None] == numbers[None]] = torch.inf
        # Every row has at least this many crops of other groups.
        count = min(NEIGHBOURS, len(shape) - largest)
        found.append(distance.topk(count, dim=1, largest=False).indices)
    closest = torch.cat(found)
    return closest.repeat(1, -(-NEIGHBOURS // closest.shape[1]))[:, :NEIGHBOURS].contiguous()


def _scale_points(points: FloatArray, factor: FloatArray) -> FloatArray:
    """Map points to a resized picture, whose top left edge stays at -0.5."""
    return ((points + 0.5) * factor - 0.5).astype(np.float32, copy=False)


def _select_pictures(shards: Sequence[Shard], name: str, rows: NDArray[np.int_]) -> list[bytes]:
    pictures = [picture for shard in shards for picture in shard.pictures[name]]
    return [pictures[row] for row in rows.tolist()]


def _decode_all(pictures: Sequence[bytes], size: int) -> NDArray[np.uint8]:
    """Decode pictures to (N, 3, S, S) uint8 RGB; zeros where there is none."""
    images = np.zeros((len(pictures), 3, size, size), np.uint8)

    def decode(number: int) -> None:
        if pictures[number]:
            image = resize_to_square(decode_picture(pictures[number]), size)
            images[number] = image.transpose(2, 0, 1)

    # OpenCV releases the interpreter lock while it decodes.
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as executor:
        list(executor.map(decode, range(len(pictures))))
    return images


def resize_to_square(image: RGBImage, size: int) -> RGBImage:
    """Resize a picture to ``size`` x ``size``.

    The right or bottom edge is repeated to make the picture square. The top left corner stays in
    place, so coordinates only need to be scaled.
    """
    height, width = image.shape[:2]
    longest = max(height, width)
    if height != width:
        image = cv2.copyMakeBorder(
            image, 0, longest - height, 0, longest - width, cv2.BORDER_REPLICATE
        ).astype(np.uint8, copy=False)
    if longest == size:
        return image
    interpolation = cv2.INTER_AREA if longest > size else cv2.INTER_CUBIC
    return cv2.resize(image, (size, size), interpolation=interpolation).astype(np.uint8, copy=False)
