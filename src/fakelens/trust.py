"""How far a person's verdict and heatmaps can be trusted, measured on a few of the faces."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain, islice

import cv2
import numpy as np
from numpy.typing import NDArray

from fakelens.ablation import faithfulness, rows_of, threshold_distance
from fakelens.assessments import Ablation, Assessment, Controls, Sight
from fakelens.crops import crop_area, cut
from fakelens.data import (
    Evidence,
    FloatArray,
    Network,
    NetworkCard,
    RGBImage,
    Thresholds,
    log_odds,
    sigmoid,
)
from fakelens.explain import Method
from fakelens.findings import temper
from fakelens.heatmaps import HeatmapStore
from fakelens.hiding import regions_of
from fakelens.planting import RECIPES, plant
from fakelens.regions import mean_evidence, shares
from fakelens.results import Finding, Track, Verdict
from fakelens.specimens import Specimen
from fakelens.stages import ahead
from fakelens.steadiness import FACES, RECOMPRESSED, WAYS, steadiness, variants

FORGERIES = 2
"""Planted into each specimen that is tried, by another recipe each."""

_BATCH = 8  # crops; more at a time are slower
_RISE = 0.1  # of the distance of the thresholds; a smaller one is none
_STRONGEST = 5
_APART = 0.5  # seconds, of two of the strongest frames


@dataclass(frozen=True, slots=True)
class Examiner:
    """Measures how far findings can be trusted.

    Attributes:
        network: that judged.
        method: of the heatmaps.
        thresholds: where a score becomes a verdict.
        ablation: how faithfulness is measured.
    """

    network: Network
    method: Method
    thresholds: Thresholds
    ablation: Ablation = "features"

    def assess(
        self,
        finding: Finding,
        track: Track,
        heatmaps: HeatmapStore,
        specimens: Sequence[Specimen],
    ) -> Finding:
        """A finding with its assessment, and with the verdict that this leaves.

        Args:
            finding: on the track.
            track: of one person.
            heatmaps: that the track points to.
            specimens: usable faces of the person; without any, the finding stays as it is.
        """
        if not specimens or finding.score is None:
            return finding
        card = self.network.card
        person = log_odds(finding.score)
        few = np.linspace(0, len(specimens) - 1, min(len(specimens), FACES)).round().astype(int)
        tried = [specimens[index] for index in few]
        with_landmarks = all(specimen.face.landmarks is not None for specimen in specimens)
        forged: list[NDArray[np.bool_]] = []
        evidence = self._examine(
            (specimen.crop(card) for specimen in specimens),
            variants(tried, card),
            _forgeries(tried, card, forged) if with_landmarks else iter(()),
        )
        own, after = len(specimens), len(specimens) + len(WAYS) * len(tried)
        maps = self.method.function(evidence)
        steady = steadiness(person, evidence.logit[few], evidence.logit[own:after])
        faithful = faithfulness(
            self.network,
            np.stack([specimen.crop(card) for specimen in specimens]),
            rows_of(evidence, slice(own)),
            maps[:own],
            self.method,
            self.ablation,
        )
        mean = mean_evidence(track, heatmaps)
        assessment = Assessment(
            faithfulness=faithful,
            steadiness=steady,
            controls=self._controls(
                person,
                steady.scores[RECOMPRESSED],
                evidence.logit[after:] - np.repeat(evidence.logit[few], FORGERIES),
                maps[after:] - np.repeat(maps[few], FORGERIES, axis=0),
                _in_cells(forged, maps.shape[1]),
            )
            if with_landmarks
            else None,
            regions=None,
            agreement=mean.agreement if mean else None,
            strongest=_strongest(track),
            notes=_notes(faithful is not None, with_landmarks=with_landmarks),
        )
        finding = temper(replace(finding, assessment=assessment), self.thresholds)
        if finding.verdict is not Verdict.FAKE or not with_landmarks:
            return finding
        regions = regions_of(
            self.network, specimens, rows_of(evidence, slice(own)), shares(track, heatmaps)
        )
        return replace(finding, assessment=replace(assessment, regions=regions))

    def _examine(self, *crops: Iterator[RGBImage]) -> Evidence:
        """The evidence in all crops, which are made in another thread meanwhile."""
        with closing(ahead(_batches(chain(*crops)), 1)) as batches:
            found = [self.network.examine(batch) for batch in batches]
        return Evidence(
            np.concatenate([evidence.logit for evidence in found]),
            np.concatenate([evidence.activation for evidence in found]),
            np.concatenate([evidence.gradient for evidence in found]),
        )

    def _controls(
        self,
        person: float,
        recompressed: float,
        moves: FloatArray,
        rises: FloatArray,
        forged: NDArray[np.bool_],
    ) -> Controls:
        """From what (N,) forgeries do to the logit, and (N, h, w) to the heatmap."""
        planted = person + float(moves.mean())
        rises = np.maximum(rises, 0)
        total = float(rises.sum())
        fake = log_odds(self.thresholds.fake)
        return Controls(
            sight=self._sight(person, planted, moves),
            planted=float(sigmoid(planted)),
            inside=float(rises[forged].sum()) / total if total > 0 else None,
            area=float(forged.mean()),
            recompressed=recompressed,
            trigger_happy=person < fake <= log_odds(recompressed),
            faces=len(moves) // FORGERIES,
        )

    def _sight(self, person: float, planted: float, moves: FloatArray) -> Sight:
        fake = log_odds(self.thresholds.fake)
        if person >= fake:
            return Sight.UNKNOWN
        if planted >= fake:
            return Sight.SEES
        error = float(moves.std(ddof=1)) / len(moves) ** 0.5
        least = _RISE * threshold_distance(self.network.card.thresholds)
        mean = float(moves.mean())
        return Sight.RISES if mean >= least and mean >= 2 * error else Sight.BLIND


def _forgeries(
    specimens: Sequence[Specimen], card: NetworkCard, masks: list[NDArray[np.bool_]]
) -> Iterator[RGBImage]:
    """``FORGERIES`` of each specimen, cropped; what is forged in each crop goes to ``masks``."""
    for number, specimen in enumerate(specimens):
        landmarks = specimen.face.landmarks
        assert landmarks is not None
        area = crop_area(specimen.face, card.crop)
        for turn in range(FORGERIES):
            recipe = RECIPES[(number * FORGERIES + turn) % len(RECIPES)]
            image, mask = plant(specimen.image, landmarks, recipe)
            masks.append(cut(np.rint(255 * mask).astype(np.uint8), area, card.input_size) > 127)
            yield cut(image, area, card.input_size)


def _in_cells(masks: Sequence[NDArray[np.bool_]], side: int) -> NDArray[np.bool_]:
    """Masks (N, S, S) on the cells of a heatmap, (N, side, side)."""
    small = [
        cv2.resize(mask.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA) > 0.5
        for mask in masks
    ]
    return np.array(small, np.bool_).reshape(-1, side, side)


def _batches(crops: Iterator[RGBImage]) -> Generator[NDArray[np.uint8]]:
    while batch := list(islice(crops, _BATCH)):
        yield np.stack(batch)


def _strongest(track: Track) -> tuple[int, ...]:
    """Frames with the most evidence of fake, usable and apart from each other."""
    rows = np.flatnonzero(track.usable)
    chosen: list[int] = []
    for row in rows[np.argsort(-track.logits[rows], kind="stable")]:
        if all(abs(track.times[row] - track.times[other]) >= _APART for other in chosen):
            chosen.append(int(row))
        if len(chosen) == _STRONGEST:
            break
    return tuple(int(track.frames[row]) for row in chosen)


def _notes(faithful: bool, *, with_landmarks: bool) -> tuple[str, ...]:
    notes = []
    if not faithful:
        notes.append(
            "whether the heatmap is true to the network was not measured: "
            "the network cannot be asked from its explained layer on"
        )
    if not with_landmarks:
        notes.append(
            "parts of the face and planted forgeries were left out: "
            "the face detector gives no landmarks"
        )
    return tuple(notes)
