"""Collects the observations of each person as columns as the frames are read."""

from array import array

import numpy as np
from numpy.typing import NDArray

from fakelens.analysis.face_crops import FaceCrop
from fakelens.explain.heatmaps import smooth_heatmap
from fakelens.records.arrays import FloatArray
from fakelens.records.tracks import Track


class _Columns:
    """The columns of a growing track, in compact arrays for hundreds of thousands of rows."""

    def __init__(self) -> None:
        self.integers = array("q")  # per row: frame, detected, quality flags, heatmap row
        # Per row: time, confidence, sharpness, logit, peak, 2 boxes, 5 landmarks.
        self.reals = array("d")

    def track(self, person: int) -> Track:
        integers = np.array(self.integers, dtype=np.int64).reshape(-1, 4)
        reals = np.array(self.reals, dtype=np.float64).reshape(-1, 23)

        def single(*columns: int) -> FloatArray:
            return np.squeeze(reals[:, slice(*columns)], 1).astype(np.float32)

        return Track(
            person=person,
            frames=integers[:, 0],
            detected=integers[:, 1].astype(np.bool_),
            quality_flags=integers[:, 2].astype(np.uint8),
            heatmaps=integers[:, 3],
            times=reals[:, 0],
            confidences=single(1, 2),
            sharpness=single(2, 3),
            logits=single(3, 4),
            peaks=single(4, 5),
            boxes=reals[:, 5:9].astype(np.float32),
            areas=reals[:, 9:13].astype(np.float32),
            landmarks=reals[:, 13:].reshape(-1, 5, 2).astype(np.float32),
        )


_NO_LANDMARKS = np.full((5, 2), np.nan)


class TrackTable:
    """Builds tracks from face crops and the model's output for them."""

    def __init__(self) -> None:
        self._people: dict[int, _Columns] = {}

    def add(self, face_crop: FaceCrop, logit: float, heatmap: FloatArray, row: int) -> None:
        """Add one examined face; the crops of a person must be added in the order of their frames.

        Args:
            face_crop: that the model examined.
            logit: of the crop, positive = fake.
            heatmap: (h, w) float32 of the crop.
            row: of the heatmap in the report's heatmaps.
        """
        columns = self._people.setdefault(face_crop.tracked.track, _Columns())
        face = face_crop.tracked.face
        columns.integers.extend(
            (face_crop.frame, int(face_crop.tracked.detected), face_crop.quality_flags, row)
        )
        peak = float(np.abs(smooth_heatmap(heatmap)).max())
        columns.reals.extend((face_crop.time, face.confidence, face_crop.sharpness, logit, peak))
        columns.reals.extend((face.box.x1, face.box.y1, face.box.x2, face.box.y2))
        area = face_crop.area
        columns.reals.extend((area.x1, area.y1, area.x2, area.y2))
        landmarks: NDArray[np.floating] = (
            _NO_LANDMARKS if face.landmarks is None else face.landmarks
        )
        columns.reals.extend(landmarks.ravel().tolist())

    def tracks(self) -> tuple[Track, ...]:
        """Return one track per person, ordered by number."""
        return tuple(self.track(person) for person in sorted(self._people))

    def track(self, person: int) -> Track:
        """Return the track of one person, as far as it was added."""
        return self._people[person].track(person)
