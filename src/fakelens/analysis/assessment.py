"""How far a person's verdict and heatmaps can be trusted, measured on a few of the faces."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from fakelens.analysis.verdicts import apply_assessment, person_logit
from fakelens.explain.cam import CamMethod
from fakelens.explain.regions import mean_evidence, region_shares
from fakelens.faces.sampler import FaceSample
from fakelens.media.prefetch import prefetch
from fakelens.models.batching import stack_batches
from fakelens.records.arrays import RGBImage, log_odds
from fakelens.records.findings import Finding, Verdict
from fakelens.records.models import Evidence, Model, Thresholds
from fakelens.records.report import Heatmaps
from fakelens.records.tracks import Track
from fakelens.records.trust import Ablation, Assessment, Faithfulness
from fakelens.trust.ablation import select_rows
from fakelens.trust.controls import (
    FORGERIES_PER_SAMPLE,
    forged_crops,
    masks_to_cells,
    measure_controls,
)
from fakelens.trust.faithfulness import LEAST_CELLS, measure_faithfulness
from fakelens.trust.region_ablation import ablate_regions
from fakelens.trust.robustness import (
    MAX_FACES,
    PERTURBATIONS,
    RECOMPRESSED,
    measure_robustness,
    variants,
)

_BATCH = 8  # crops; more at a time are slower
_STRONGEST = 5
_APART = 0.5  # seconds, of two of the strongest frames


@dataclass(frozen=True, slots=True)
class Assessor:
    """Measures how far findings can be trusted.

    Attributes:
        model: that judged.
        method: of the heatmaps.
        thresholds: where a score becomes a verdict.
        ablation: how faithfulness is measured.
    """

    model: Model
    method: CamMethod
    thresholds: Thresholds
    ablation: Ablation = "features"

    def assess(
        self,
        finding: Finding,
        track: Track,
        heatmaps: Heatmaps,
        samples: Sequence[FaceSample],
    ) -> Finding:
        """A finding with its assessment, and with the verdict that this leaves.

        Args:
            finding: on the track.
            track: of one person.
            heatmaps: that the track points to.
            samples: usable faces of the person; without any, the finding stays as it is.
        """
        person = person_logit(track)
        if not samples or person is None:
            return finding
        card = self.model.card
        # Where there is too little to judge, a band and plants would change nothing, and one face
        # tells whether its heatmap is true.
        judged = finding.seen_well
        samples = samples if judged else samples[:1]
        few = np.linspace(0, len(samples) - 1, min(len(samples), MAX_FACES)).round().astype(int)
        tried = [samples[index] for index in few] if judged else []
        with_landmarks = all(sample.face.landmarks is not None for sample in samples)
        forged: list[NDArray[np.bool_]] = []
        crops = np.stack([sample.crop(card) for sample in samples])
        evidence = self._examine(
            iter(crops),
            variants(tried, card),
            forged_crops(tried, card, forged) if with_landmarks else iter(()),
        )
        maps = self.method.function(evidence)
        own = select_rows(evidence, slice(len(crops)))
        faithful = measure_faithfulness(
            self.model, crops, own, maps[: len(crops)], self.method, self.ablation
        )
        steady, planted = None, None
        if tried:
            after = len(crops) + len(PERTURBATIONS) * len(tried)
            logits, at_rest = evidence.logit[few], np.repeat(few, FORGERIES_PER_SAMPLE)
            steady = measure_robustness(person, logits, evidence.logit[len(crops) : after])
            if with_landmarks:
                planted = measure_controls(
                    person,
                    log_odds(steady.scores[RECOMPRESSED]),
                    evidence.logit[after:] - evidence.logit[at_rest],
                    maps[after:] - maps[at_rest] if self._shows_fake else None,
                    masks_to_cells(forged, (maps.shape[1], maps.shape[2])),
                    (self.thresholds, card.thresholds),
                )
        mean = mean_evidence(track, heatmaps)
        assessment = Assessment(
            faithfulness=faithful,
            robustness=steady,
            controls=planted,
            regions=None,
            agreement=mean.agreement if mean else None,
            strongest=_strongest(track),
            notes=tuple(self._notes(maps.shape[1:], faithful, with_landmarks=with_landmarks)),
        )
        finding = apply_assessment(replace(finding, assessment=assessment), self.thresholds)
        if finding.verdict is not Verdict.FAKE or not with_landmarks or not self._shows_fake:
            return finding
        regions = ablate_regions(self.model, person, samples, own, region_shares(track, heatmaps))
        return replace(finding, assessment=replace(assessment, regions=regions))

    @property
    def _shows_fake(self) -> bool:
        """Whether positive cells of the heatmaps speak for fake."""
        return self.method.positive == "fake"

    def _examine(self, *crops: Iterator[RGBImage]) -> Evidence:
        """The evidence in all crops, which are made in another thread meanwhile."""
        with closing(prefetch(stack_batches(chain(*crops), _BATCH), 1)) as batches:
            found = [self.model.examine(batch) for batch in batches]
        return Evidence(
            np.concatenate([evidence.logit for evidence in found]),
            np.concatenate([evidence.activation for evidence in found]),
            np.concatenate([evidence.gradient for evidence in found]),
        )

    def _notes(
        self, cells: Sequence[int], faithful: Faithfulness | None, *, with_landmarks: bool
    ) -> Iterator[str]:
        """What was not measured, and why."""
        if faithful is None and np.prod(cells) < LEAST_CELLS:
            yield (
                "whether the heatmap is true to the model was not measured: "
                f"it has too few cells ({cells[0]} x {cells[1]})"
            )
        elif faithful is None:
            yield (
                "whether the heatmap is true to the model was not measured: "
                "the model cannot be asked from its explained layer on"
            )
        if not with_landmarks:
            yield (
                "parts of the face and planted forgeries were left out: "
                "the face detector gives no landmarks"
            )
        elif not self._shows_fake:
            yield (
                f"parts of the face were left out: {self.method.title} does not show what speaks "
                "for fake"
            )


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
