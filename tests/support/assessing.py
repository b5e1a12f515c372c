"""Samples and models for tests of the assessment."""

import numpy as np
from numpy.typing import NDArray

from fakelens.analysis.assessment import Assessor
from fakelens.analysis.verdicts import judge_track
from fakelens.explain.cam import METHODS
from fakelens.explain.heatmaps import HeatmapStore
from fakelens.faces.sampler import FaceSample
from fakelens.records.faces import Box, Face
from fakelens.records.findings import Finding
from fakelens.records.models import Evidence, Thresholds
from support.builders import CARD, THRESHOLDS, make_track
from support.toys import RedModel

LANDMARKS = np.array([(52, 50), (88, 50), (70, 72), (56, 90), (84, 90)], np.float32)
BOX = Box(30, 20, 110, 110)


def make_sample(
    red: float = 0,
    seed: int = 0,
    landmarks: NDArray[np.float32] | None = LANDMARKS,
    noise: float = 3,
) -> FaceSample:
    """Create a sample of noisy grey with a face's landmarks.

    Args:
        red: difference between red and blue, grey levels.
        seed: of the noise.
        landmarks: of the face.
        noise: standard deviation, grey levels.
    """
    rng = np.random.default_rng(seed)
    image = np.full((140, 140, 3), 120.0) + rng.normal(0, noise, (140, 140, 3))
    image[..., 0] += red / 2
    image[..., 2] -= red / 2
    return FaceSample(np.clip(image, 0, 255).astype(np.uint8), Face(BOX, landmarks, 1.0))


def assess(
    model: RedModel, *samples: FaceSample, logit: float, thresholds: Thresholds = THRESHOLDS
) -> Finding:
    """Assess a person with a constant logit; each heatmap of the track is the first sample's."""
    maps = METHODS["hirescam"].function(model.examine(samples[0].crop(CARD)[None]))
    track = make_track(np.full(100, logit), heatmaps=np.zeros(100))
    track.landmarks[:], track.areas[:] = LANDMARKS, (22, 17, 118, 113)
    store = HeatmapStore()
    store.append(maps)
    finding = judge_track(track, thresholds, still=False)
    assessor = Assessor(model, METHODS["hirescam"], thresholds)
    return assessor.assess(finding, track, store, samples)


def logit_of_sample(model: RedModel, sample: FaceSample) -> float:
    return float(model.examine(sample.crop(CARD)[None]).logit[0])


class DetailModel(RedModel):
    """Takes detail for fake: the logit is the mean horizontal difference minus 2."""

    def examine(self, crops: NDArray[np.uint8]) -> Evidence:
        detail = np.abs(np.diff(crops.astype(np.float32), axis=2)).mean(axis=3)
        cells = np.pad(detail, ((0, 0), (0, 0), (0, 1)), mode="edge")
        side = crops.shape[1] // 8
        cells = cells.reshape(-1, 8, side, 8, side).mean(axis=(2, 4))[:, None] - 2
        return Evidence(cells.mean(axis=(1, 2, 3)), cells, np.full_like(cells, 1 / 64))
